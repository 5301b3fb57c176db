"""The terms that a worker keeps: fetched once, dropped for others, and told apart where they fail."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses.server.jobdata import inflated
from rq_ses_worker.campaign.terms import TermsBroken, TermsCache, TermsMissing, TermsUnavailable
from support.waiting import PATIENCE, wait_for


class Server:
    """What the cache asks: terms by their keys, and how often each was asked for."""

    def __init__(self, **terms: bytes) -> None:
        self.stored = {f"rq:ses:terms:{name}": zlib.compress(text) for name, text in terms.items()}
        self.asked: list[str] = []
        self.before: Callable[[], object] = lambda: None

    def get(self, key: str) -> bytes | None:
        self.asked.append(key.removeprefix("rq:ses:terms:"))
        self.before()
        return self.stored.get(key)


def read(campaign: str, terms: str, data: bytes) -> str:
    assert campaign == "sale"
    return inflated(data).decode()


def cache(server: Server, **bounds: int) -> TermsCache[str]:
    connection: Any = server
    return TermsCache(connection, read, **bounds)


def away() -> None:
    raise ConnectionLost("no")


def test_terms_are_fetched_once() -> None:
    server = Server(a=b"one")
    terms = cache(server)
    assert [terms.get("sale", "a"), terms.get("sale", "a")] == ["one", "one"]
    assert server.asked == ["a"]


def test_what_was_used_last_is_kept() -> None:
    server = Server(a=b"1", b=b"2", c=b"3")
    terms = cache(server, most=2)
    for name in "abaca":
        terms.get("sale", name)
    assert server.asked == ["a", "b", "c"]
    terms.get("sale", "b")
    assert server.asked == ["a", "b", "c", "b"]


def test_large_terms_leave_room_for_nothing_else_but_are_kept() -> None:
    server = Server(a=b"1", b=b"2" * 100)
    terms = cache(server, most_bytes=50)
    for name in "abba":
        terms.get("sale", name)
    assert server.asked == ["a", "b", "a"]


def test_a_server_that_is_away_is_not_one_that_has_none() -> None:
    server = Server(a=b"1")
    terms = cache(server)
    with pytest.raises(TermsMissing, match="no terms b"):
        terms.get("sale", "b")
    server.before = away
    with pytest.raises(TermsUnavailable, match="ConnectionError") as caught:
        terms.get("sale", "a")
    assert caught.value.terms == "a"
    server.before = lambda: None
    assert terms.get("sale", "a") == "1"


@pytest.mark.parametrize(
    "stored", [zlib.compress(b"\xff"), zlib.compress(b"1" * 500)[:-4]], ids=["unreadable", "cut off"]
)
def test_what_is_no_terms_is_said_to_be_none(stored: bytes) -> None:
    server = Server()
    server.stored["rq:ses:terms:a"] = stored
    with pytest.raises(TermsBroken, match="the campaign's terms a can't be read"):
        cache(server).get("sale", "a")


@pytest.mark.parametrize("lost", [False, True])
def test_threads_wait_for_one_fetch_and_share_how_it_ends(lost: bool) -> None:
    server = Server(a=b"1")
    terms = cache(server)
    go, ended = threading.Event(), list[object]()

    def slow() -> None:
        go.wait(PATIENCE)
        if lost:
            away()

    def ask() -> None:
        try:
            ended.append(terms.get("sale", "a"))
        except TermsUnavailable as exc:
            ended.append(type(exc))

    server.before = slow
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: server.asked == ["a"] and threading.active_count() >= 8)
    go.set()
    for thread in threads:
        thread.join()
    expected: object = TermsUnavailable if lost else "1"
    # One that came when the fetch had ended makes its own.
    assert ended == [expected] * 8
    assert lost or server.asked == ["a"]


def test_other_terms_are_fetched_meanwhile() -> None:
    server = Server(a=b"1", b=b"2")
    terms = cache(server)
    go = threading.Event()
    server.before = lambda: server.asked[-1] == "a" and go.wait(PATIENCE)
    slow = threading.Thread(target=terms.get, args=("sale", "a"))
    slow.start()
    wait_for(lambda: server.asked == ["a"])
    assert terms.get("sale", "b") == "2"
    go.set()
    slow.join()
