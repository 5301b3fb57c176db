"""The settler outlives what it can't write."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import DataError, NoPermissionError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from rq_ses_worker.engine import settler as settler_module
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.settling import batches, unwritable
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Lease, Settlement, Word, sent_fields
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import Denied
from rq_ses_worker.ses.outcome import Sent
from support.waiting import wait_for


class PickyLifecycle:
    """Raises for settlements whose meta holds `poison`, as JSON does for some."""

    def __init__(self) -> None:
        self.written: list[Settlement] = []

    def count(self, **_: bool) -> None:
        pass

    def settle(self, settlements: Sequence[Settlement], **_: float) -> list[Word]:
        if any("poison" in settlement.meta for settlement in settlements):
            raise RecursionError
        self.written += settlements
        return ["done"] * len(settlements)


def lease(name: str) -> Lease:
    return Lease(0, name, "aaaa000000001")


def sent(name: str, **meta: Any) -> Settlement:
    return Settlement(lease(name), "sent", datetime.now(UTC), {"attempts": 3, **meta}, sent_fields({}))


def test_an_outcome_that_cannot_be_written_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    lifecycle, leases = PickyLifecycle(), Leases(30.0)
    shared = Shared(leases)
    settler = Settler(lifecycle, shared)  # type: ignore[arg-type]
    for name in ("a", "b", "c"):
        leases.add(lease(name), 0.0)
        settler.put(sent(name, **({"poison": 1} if name == "b" else {})))
    with caplog.at_level(logging.CRITICAL):
        settler.start()
        assert settler.stop(5.0)
    assert {s.lease.job_id: s.meta for s in lifecycle.written} == {
        "a": {"attempts": 3},
        "b": {"attempts": 3},
        "c": {"attempts": 3},
    }
    assert len(leases) == 0
    assert shared.wake.is_set()


@pytest.mark.parametrize(
    ("several", "held", "batch"), [(1, 0, 2), (2, 0, 3), (9, 0, 4), (9, 16, 13), (99, 40, 13), (99, 3, 4)]
)
def test_a_batch_waits_for_others_while_it_is_small_and_for_longer_while_mails_are_held_ready(
    monkeypatch: pytest.MonkeyPatch, several: int, held: int, batch: int
) -> None:
    lifecycle, leases = PickyLifecycle(), Leases(30.0)
    for number in range(held):
        leases.add(lease(f"held{number}"), 0.0)
    rounds: list[int] = []
    wake = SimpleNamespace(is_set=lambda: False, set=lambda: rounds.append(len(lifecycle.written)))
    settler = Settler(lifecycle, Shared(leases, wake=wake), several=several, threads=3)  # type: ignore[arg-type]
    clock = 0.0

    def arriving(seconds: float) -> None:
        nonlocal clock
        clock += seconds
        for _ in range(round(seconds / batches.GATHER)):
            settler.put(sent(f"later{time.monotonic_ns()}"))

    monkeypatch.setattr(batches, "time", SimpleNamespace(sleep=arriving, monotonic=lambda: clock))
    settler.put(sent("first"))
    settler.start()
    wait_for(lambda: any(rounds))
    assert settler.stop(5.0)
    assert next(filter(None, rounds)) == batch


class ShakyLifecycle(PickyLifecycle):
    """Raises what it is given, one after the other, for batches with certain jobs ("" stands for all)."""

    def __init__(self, job_id: str, *errors: Exception) -> None:
        super().__init__()
        self._job_id = job_id
        self._errors = list(errors)

    def settle(self, settlements: Sequence[Settlement], **options: float) -> list[Word]:
        jobs = {settlement.lease.job_id for settlement in settlements}
        if self._errors and (not self._job_id or self._job_id in jobs):
            raise self._errors.pop(0)
        return super().settle(settlements, **options)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settler_module, "_PAUSE", 0.01)
    for name in ("PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(unwritable, name, 0.01)


def settled(lifecycle: PickyLifecycle, *jobs: str) -> tuple[Settler, Leases]:
    leases = Leases(30.0)
    settler = Settler(lifecycle, Shared(leases))  # type: ignore[arg-type]
    for job_id in jobs:
        leases.add(lease(job_id), 0.0)
        settler.put(sent(job_id, mine="my own"))
    settler.start()
    return settler, leases


PASSING = [
    MemoryError(), OSError(24, "Too many open files"), RuntimeError("can't start new thread"), TimeoutError(),
    RedisTimeout("slow"), ResponseError("OOM command not allowed"), DataError("?"), ResponseError("ERR odd"),
]  # fmt: skip


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{type(error).__name__} {error}")
@pytest.mark.parametrize("times", [1, 3, 40])
def test_whatever_passes_is_tried_again_for_as_long_as_it_takes(error: Exception, times: int) -> None:
    lifecycle = ShakyLifecycle("", *[error] * times)
    settler, leases = settled(lifecycle, "a", "b")
    wait_for(lambda: len(lifecycle.written) == 2)
    assert settler.stop(5.0)
    assert {s.lease.job_id: s.meta for s in lifecycle.written} == {
        job_id: {"attempts": 3, "mine": "my own"} for job_id in ("a", "b")
    }
    assert len(leases) == 0


@pytest.mark.usefixtures("impatient")
def test_what_fails_alone_over_and_over_is_set_aside_with_all_that_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lifecycle = ShakyLifecycle("b", *[MemoryError()] * 100)
    leases = Leases(30.0)
    settler = Settler(lifecycle, Shared(leases), queues=["mail"])  # type: ignore[arg-type]
    for job_id in ("a", "b", "c"):
        leases.add(lease(job_id), 0.0)
        settler.put(sent(job_id)._replace(outcome=Sent(200, message_id="m-4711"), to=["anna@example.com"]))
    settler.start()
    wait_for(lambda: len(leases) == 0)
    settler.put(sent("d"))
    assert settler.stop(5.0)
    assert {s.lease.job_id for s in lifecycle.written} == {"a", "c", "d"}
    [record] = [r for r in caplog.records if r.__dict__["rq_ses_event"] is events.OUTCOME_SET_ASIDE]
    fields = record.__dict__["rq_ses_fields"]
    assert (fields["job_id"], fields["action"], fields["message_id"]) == ("b", "sent", "m-4711")
    assert fields["to"] == "anna@example.com"


@pytest.mark.usefixtures("impatient")
def test_the_end_of_a_dead_lease_is_left_out_after_trouble_with_redis() -> None:
    lifecycle = ShakyLifecycle("", RedisTimeout("slow"))
    leases = Leases(30.0)
    settler = Settler(lifecycle, Shared(leases))  # type: ignore[arg-type]
    settler.put(sent("dead")._replace(overdue=True))
    settler.put(sent("a"))
    assert lease("dead") in settler
    settler.start()
    wait_for(lambda: lifecycle.written)
    assert settler.stop(5.0)
    assert [s.lease.job_id for s in lifecycle.written] == ["a"]
    assert lease("dead") not in settler


def refused(times: int) -> Settler:
    """Return a settler whose thread has died of a right that is refused it so many times."""
    error = NoPermissionError("User w has no permissions to run the 'zrem' command")
    shared = Shared(Leases(30.0))
    settler = Settler(ShakyLifecycle("", *[error] * times), shared)  # type: ignore[arg-type]
    settler.put(sent("a"))
    settler.start()
    wait_for(lambda: not shared.threads.all_live)
    with pytest.raises(Denied, match="the command ZREM to the user w"):
        shared.threads.check()
    return settler


@pytest.mark.usefixtures("impatient")
def test_a_settler_that_is_refused_a_right_ends_and_keeps_what_it_has() -> None:
    settler = refused(2)
    assert not settler.stop(1.0)
    assert lease("a") in settler


@pytest.mark.usefixtures("impatient")
def test_what_ends_after_the_settlers_thread_has_died_is_written_all_the_same() -> None:
    settler = refused(1)
    settler.put(sent("b"))
    assert settler.stop(1.0)
    assert lease("a") not in settler
    assert lease("b") not in settler
