"""Outcomes that go along with a claim, and those that are left to the settler's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses_worker.engine.settling import batches
from rq_ses_worker.engine.settling.along import GoingAlong
from rq_ses_worker.engine.settling.batches import Batches
from rq_ses_worker.engine.settling.unwritten import Unwritten
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Bulk, Division, Lease, Settlement, Word, sent_fields
from rq_ses_worker.server.errand import Errand


class Written:
    """A lifecycle that writes what has no `poison`."""

    def __init__(self) -> None:
        self.lapsed: list[bool] = []

    def settlement(self, settlements: Sequence[Settlement], **_: float) -> Errand[list[Word]]:
        if any("poison" in one.meta for one in settlements):
            raise RecursionError
        self.lapsed += [one.lapsed for one in settlements]
        return Errand([], lambda _: ["done"] * len(settlements))


class Desk:
    """Outcomes that wait, and who takes them along."""

    def __init__(self, **state: Callable[..., bool]) -> None:
        self.shared = Shared(Leases(30.0))
        never: Callable[..., bool] = lambda *_: False  # noqa: E731
        self.batches = Batches(4, **{"ready": never, "coming": never, **state})
        self.unwritten = Unwritten(self.shared, None, ["mail"])
        self.lifecycle = Written()
        self.along = GoingAlong(self.lifecycle, self.batches, self.unwritten)  # type: ignore[arg-type]

    def put(
        self, name: str, meta: dict[str, Any] | None = None, since: float | None = None, **options: Any
    ) -> Lease:
        lease = Lease(0, name, "aaaa000000001")
        one = Settlement(lease, "sent", datetime.now(UTC), meta or {}, sent_fields({}), **options)
        self.shared.leases.add(lease, time.monotonic() if since is None else since)
        self.unwritten.add(one)
        self.batches.put(one)
        return lease

    def claim(self, *, answered: bool = True) -> int:
        """Make a claim; return how many errands went along."""
        with self.along.taken() as errands:
            for errand in errands if answered else ():
                errand.answered([])
            return len(errands)

    def taken(self) -> list[str]:
        """Return what the thread would write next."""
        batch, _ = self.batches.take(0.0)
        return [one.lease.job_id for one in batch]


def test_what_waits_is_written_with_a_claim() -> None:
    desk = Desk()
    lease = desk.put("a")
    assert len(desk.along) == 1
    assert (desk.claim(), desk.along.going) == (1, 1)
    assert lease not in desk.unwritten
    assert lease not in desk.shared.leases
    assert (desk.claim(), desk.along.going) == (0, 0)
    assert desk.taken() == []


def test_what_was_not_answered_is_left_to_the_thread_and_so_is_all_that_comes_until_it_is_written() -> None:
    desk = Desk()
    lease = desk.put("a")
    desk.claim(answered=False)
    assert lease in desk.unwritten
    desk.put("b")
    assert (len(desk.along), desk.claim()) == (0, 0)
    assert desk.taken() == ["a", "b"]
    desk.along.failing = False
    desk.put("c")
    assert desk.claim() == 1


def test_an_outcome_whose_lease_may_have_run_out_is_marked() -> None:
    desk = Desk()
    desk.put("a")
    desk.put("b", since=time.monotonic() - 31)
    desk.claim()
    assert desk.lifecycle.lapsed == [False, True]


def test_two_threads_that_take_outcomes_at_once_take_each_once() -> None:
    desk = Desk()
    found: list[str] = []
    end = threading.Event()

    def take() -> None:
        while not end.is_set() or len(desk.batches):
            found.extend(one.lease.job_id for one in desk.batches.take_waiting())

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    names = [f"m{number}" for number in range(2000)]
    for name in names:
        desk.put(name)
    end.set()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(names)


def test_a_claim_that_raises_leaves_the_outcomes_to_the_thread() -> None:
    desk = Desk()
    desk.put("a")
    with pytest.raises(ConnectionLost), desk.along.taken():
        raise ConnectionLost
    assert desk.taken() == ["a"]


DIVIDED = Bulk("c1", 2, division=Division(b"", 1, "c1", ()))


@pytest.mark.parametrize(
    "odd",
    [{"meta": {"poison": 1}}, {"overdue": True}, {"bulk": DIVIDED}],
    ids=["raises", "overdue", "divided"],
)
def test_what_needs_a_closer_look_or_a_step_of_its_own_does_not_go_along(odd: dict[str, Any]) -> None:
    desk = Desk()
    desk.put("a")
    desk.put("odd", **odd)
    assert desk.claim() == 0
    assert desk.taken() == ["a", "odd"]


@pytest.mark.parametrize("odd", [{"overdue": True}, {"bulk": DIVIDED}], ids=["overdue", "divided"])
def test_no_room_is_reckoned_with_that_what_waits_will_not_leave(odd: dict[str, Any]) -> None:
    desk = Desk()
    desk.put("a")
    assert len(desk.along) == 1
    desk.put("odd", **odd)
    assert len(desk.along) == 0
    assert len(desk.batches.take_waiting()) == 2
    desk.put("b")
    assert len(desk.along) == 1


def test_a_claim_that_is_coming_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    monkeypatch.setattr(batches, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock))
    desk = Desk(coming=lambda: True)
    desk.put("a")
    while not (taken := desk.taken()):
        assert clock < batches.COMING + batches.GATHER
    assert taken == ["a"]
    assert clock >= batches.COMING
