"""How credentials are kept fresh: when, by whom, and what happens when that fails; without a clock."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from rq_ses_worker.identity.provider import Grant, NotConfigured, ProviderFailed
from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from support.waiting import PATIENCE

SECRET = "s3cr3tKeyThatNobodyMaySee"
LIFE = 3600.0


class Place:
    """Gives out numbered credentials that live for `life` seconds, or does as `answer` says."""

    name = "a place"

    def __init__(self, life: float | None = LIFE) -> None:
        self.now = 1_000_000.0
        self.life = life
        self.loads = 0
        self.answer: Exception | NotConfigured | None = None
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def load(self) -> Grant | NotConfigured:
        self.loads += 1
        self.entered.set()
        if self.gate:
            assert self.gate.wait(PATIENCE)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        expires = None if self.life is None else datetime.fromtimestamp(self.now + self.life, UTC)
        return Grant(Credentials(f"ASIANUMBER{self.loads:06}", SECRET), expires)

    def search(self) -> tuple[Any, Grant]:
        try:
            found = self.load()
        except ProviderFailed as exc:
            raise CredentialsUnavailable([(self.name, str(exc))], lasting=exc.lasting) from exc
        assert isinstance(found, Grant)
        return self, found

    def source(self) -> CredentialSource:
        return CredentialSource(self.search, clock=lambda: self.now, monotonic=lambda: self.now)


def number(credentials: Credentials) -> int:
    return int(credentials.access_key_id[-6:])


def test_nothing_is_fetched_before_it_is_needed_and_then_once() -> None:
    place = Place(life=None)
    source = place.source()
    assert (place.loads, str(source), source.name) == (0, "no credentials yet", None)
    assert [number(source.current()) for _ in range(3)] == [1, 1, 1]
    place.now += 1e9
    assert number(source.current()) == 1
    assert (source.name, source.expires) == ("a place", None)


@pytest.mark.parametrize(
    ("life", "advisory"), [(3600.0, 900.0), (43_200.0, 900.0), (900.0, 225.0), (60.0, 15.0)]
)
def test_new_ones_are_fetched_a_quarter_of_an_hour_before_the_end_or_a_quarter_of_a_short_life(
    life: float, advisory: float
) -> None:
    place = Place(life)
    source = place.source()
    source.current()
    place.now += life - advisory - 1
    assert number(source.current()) == 1
    place.now += 1
    assert number(source.current()) == 2
    assert source.expires == datetime.fromtimestamp(place.now + life, UTC)


def test_one_thread_fetches_while_the_others_go_on_with_the_old_ones() -> None:
    place = Place()
    source = place.source()
    source.current()
    place.now += LIFE - 700
    place.gate = threading.Event()
    place.entered.clear()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(source.current)
        assert place.entered.wait(PATIENCE)
        assert [number(source.current()) for _ in range(5)] == [1] * 5
        place.gate.set()
        assert number(fetching.result(PATIENCE)) == 2
    assert place.loads == 2


@pytest.mark.parametrize("first", [True, False], ids=["at first", "near the end"])
def test_where_there_are_none_to_go_on_with_all_wait_for_one_fetch(first: bool) -> None:
    place = Place()
    source = place.source()
    if not first:
        source.current()
        place.now += LIFE - 300
    before = place.loads
    place.gate = threading.Event()
    place.entered.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(source.current) for _ in range(8)]
        assert place.entered.wait(PATIENCE)
        place.gate.set()
        assert {number(one.result(PATIENCE)) for one in waiting} == {before + 1}
    assert place.loads == before + 1


def test_when_it_fails_the_old_ones_are_used_until_their_end_and_it_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "rq_ses_worker")
    place = Place()
    source = place.source()
    source.current()
    place.now += LIFE - 900
    place.answer = ProviderFailed("it is away")
    for _ in range(899):
        assert number(source.current()) == 1
        place.now += 1
    assert 25 <= place.loads <= 45  # 1, 2, 4, 8, 16, and then every 30 seconds
    assert [record.getMessage() for record in caplog.records] == [
        "credentials could not be fetched: no AWS credentials (a place: it is away); "
        f"the old ones are used until {source.expires}"
    ]
    place.now += 1
    with pytest.raises(CredentialsUnavailable, match=r"no AWS credentials \(a place: it is away\)") as caught:
        source.current()
    assert not caught.value.lasting
    assert 0 <= caught.value.retry_after <= 30
    place.answer = None
    place.now += 30
    assert number(source.current()) == place.loads
    assert caplog.records[-1].getMessage().startswith("credentials are available again: a place (ASIA…")
    assert SECRET not in caplog.text


def test_while_there_are_none_the_place_is_left_in_peace_between_looks() -> None:
    place = Place()
    place.answer = ProviderFailed("it is away")
    source = place.source()
    for _ in range(10):
        with pytest.raises(CredentialsUnavailable):
            source.current()
    assert place.loads == 1
    place.now += 1
    with pytest.raises(CredentialsUnavailable) as caught:
        source.current()
    assert (place.loads, caught.value.retry_after) == (2, 2.0)


def test_once_found_a_place_is_never_left_for_another() -> None:
    place, searches = Place(), 0

    def search() -> tuple[Any, Grant]:
        nonlocal searches
        searches += 1
        return place.search()

    source = CredentialSource(search, clock=lambda: place.now, monotonic=lambda: place.now)
    source.current()
    place.now += LIFE + 1
    place.answer = NotConfigured("it was taken away")
    with pytest.raises(CredentialsUnavailable, match="it was taken away") as caught:
        source.current()
    assert caught.value.lasting
    assert searches == 1


def test_what_has_ended_when_it_is_given_is_no_credential() -> None:
    place = Place(life=-1)
    with pytest.raises(CredentialsUnavailable, match=r"ended at .* UTC: check it, and this clock"):
        place.source().current()


def test_refused_ones_are_fetched_anew_at_most_every_five_seconds() -> None:
    place = Place(life=None)
    source = place.source()
    first = source.current()
    assert source.renew(first)
    second = source.current()
    assert (number(second), place.loads) == (2, 2)
    assert source.renew(first), "others fetched already"
    assert not source.renew(second), "too soon"
    assert place.loads == 2
    place.now += 5
    assert source.renew(second)
    assert number(source.current()) == 3


def test_refused_ones_that_the_place_has_no_others_for_are_not_tried_again() -> None:
    source = CredentialSource.of(Credentials("AKIAALWAYS", SECRET))
    assert not source.renew(source.current())
    place = Place()
    source = place.source()
    used = source.current()
    place.answer = ProviderFailed("it is away")
    assert not source.renew(used)
    assert source.current() == used


def test_eight_threads_with_refused_credentials_fetch_once() -> None:
    place = Place()
    source = place.source()
    used = source.current()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: source.renew(used), range(8)))
    assert place.loads == 2


def test_those_who_waited_for_a_long_fetch_in_vain_do_not_repeat_it() -> None:
    place = Place()
    source = place.source()
    used = source.current()
    load = place.load

    def slow() -> Grant | NotConfigured:
        place.now += 30
        return load()

    place.load = slow  # type: ignore[method-assign]
    place.answer = ProviderFailed("it took too long")
    assert [source.renew(used) for _ in range(8)] == [False] * 8
    assert place.loads == 2


def test_a_key_id_is_shown_in_part_and_a_secret_never() -> None:
    source = CredentialSource.of(
        Credentials("AKIAIOSFODNN7EXAMPLE", SECRET, "t0kenThatNobodyMaySee"), "settings"
    )
    assert str(source) == "settings (AKIA…MPLE)"
    assert repr(source) == "<CredentialSource: settings (AKIA…MPLE)>"


def test_handing_out_costs_a_look_at_the_clock_and_no_lock() -> None:
    source = CredentialSource.of(Credentials("AKIA", SECRET))
    source._lock.acquire()
    assert source.current().access_key_id == "AKIA"
