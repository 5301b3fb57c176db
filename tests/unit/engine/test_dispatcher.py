"""How many mails the dispatcher claims: for idle threads, and under a backlog some to be held ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from rq_ses_worker.account.gate import View
from rq_ses_worker.engine.claiming import demand as module
from rq_ses_worker.engine.dispatcher import Dispatcher
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim, Lease
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.server.errand import Along, Errand


@dataclass
class Queue:
    """A lifecycle with a number of mails in its queue."""

    queued: int
    asked: list[int] = field(default_factory=list)
    view: View = field(default_factory=View)
    listed: bool = False

    def claim(self, wanted: int, along: Sequence[Along[Any]] = ()) -> tuple[list[Claim], int]:
        for one in along:
            one.done(one.errand.read([]))
        self.asked.append(wanted)
        taken = range(self.queued, max(0, self.queued - wanted), -1)
        self.queued -= len(taken)
        return [Claim(Lease(0, f"job{n}", "x1"), b"", b"", fresh=True, hooked=False) for n in taken], 0

    def promote(self) -> tuple[int, float | None]:
        return 0, None

    def promotion(self) -> Errand[tuple[int, float | None]]:
        return Errand([], lambda _: self.promote())

    def reclaim(self) -> list[Any]:
        return []


@dataclass
class Threads:
    """Threads, of which as many are busy as the test says."""

    count: int
    busy: int = 0
    ended_at: float = 0.0

    @property
    def idle(self) -> int:
        return self.count - self.busy

    def submit(self, _: Claim) -> None:
        self.busy += 1


class NothingAlong:
    """Outcomes that go along with a claim: none, for the settler's thread is always there before."""

    def __init__(self) -> None:
        self.waiting = 0
        self.going = 0

    def __len__(self) -> int:
        return self.waiting

    @contextmanager
    def taken(self) -> Iterator[list[Along[Any]]]:
        yield []


@dataclass
class Settled:
    """A settler that has nothing to write."""

    along: NothingAlong


class World:
    def __init__(self, queued: int, threads: int = 8) -> None:
        self.queue, self.threads, self.leases = Queue(queued), Threads(threads), Leases(30.0)
        self.shared, self.along = Shared(self.leases), NothingAlong()
        self.dispatcher = Dispatcher(
            self.queue,  # type: ignore[arg-type]
            self.shared,
            self.threads,  # type: ignore[arg-type]
            settler=Settled(self.along),  # type: ignore[arg-type]
            policy=RetryPolicy(),
        )

    def end(self, count: int) -> None:
        """Let so many attempts end, and be settled."""
        for lease in self.leases.held()[:count]:
            self.leases.drop(lease)
        self.threads.busy -= count
        self.threads.ended_at = time.monotonic()

    def step(self) -> list[int]:
        """Return what one round asks for."""
        before = len(self.queue.asked)
        self.dispatcher._step(burst=None)
        return self.queue.asked[before:]


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Return a world whose threads are all sending, and whose backlog has lasted for long enough."""

    def made(queued: int = 100, threads: int = 8) -> World:
        world = World(queued, threads)
        assert world.step() == [threads]
        monkeypatch.setattr(module, "LASTING", 0.0)
        return world

    return made


def test_at_first_each_idle_thread_gets_one_and_nothing_is_held_ready() -> None:
    world = World(queued=100)
    assert world.step() == [8]
    assert world.step() == []
    world.end(1)
    assert world.step() == [1]


def test_under_a_backlog_two_for_eight_threads_are_held_ready(lasting: Callable[..., World]) -> None:
    world = lasting()
    world.end(1)
    assert world.step() == [3]
    assert (world.threads.busy, len(world.leases)) == (10, 10)
    assert world.step() == []


def test_what_is_not_settled_yet_leaves_less_room_for_mails_held_ready(lasting: Callable[..., World]) -> None:
    world = lasting()
    world.end(1)
    world.leases.add(Lease(0, "unsettled", "x1"), time.monotonic())
    assert world.step() == [2]


def test_what_the_settlers_thread_takes_before_a_claim_can_leaves_no_room_yet(
    lasting: Callable[..., World],
) -> None:
    world = lasting()
    world.threads.busy, world.threads.ended_at = 0, time.monotonic()
    world.along.waiting = 8
    assert world.step() == [2]
    assert world.step() == []
    assert len(world.leases) == 10


def test_none_is_held_ready_while_no_thread_becomes_free(lasting: Callable[..., World]) -> None:
    world = lasting()
    world.end(1)
    world.threads.ended_at -= 1.0
    assert world.step() == [1]


def test_none_is_held_ready_once_the_queue_was_empty(lasting: Callable[..., World]) -> None:
    world = lasting(queued=9)
    world.end(4)
    assert world.step() == [6]  # one came
    world.queue.queued = 100
    world.end(1)
    assert world.step() == [4]


def test_a_pool_of_three_holds_none_ready(lasting: Callable[..., World]) -> None:
    world = lasting(threads=3)
    world.end(1)
    assert world.step() == [1]


def test_failures_that_a_claim_has_heard_of_hold_the_next_mails() -> None:
    world = World(queued=100)
    world.queue.view = View(failures=20)
    assert world.step() == [8]
    world.end(7)
    assert world.step() == []
    world.end(1)
    assert world.step() == [1]
