"""Random interleavings of two workers on a campaign's bulk jobs: no entry is lost, or in two places."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from rq_ses.keys import keys_of
from rq_ses_worker.lifecycle.records import Settlement
from support.bulk.desk import (
    NAME,
    QUEUE,
    BulkClient,
    Desk,
    addresses,
    campaign,
    counts,
    enqueue,
    entries_of,
    lose,
    make_due,
    store,
    success,
)

numbers = st.integers(min_value=0, max_value=7)
workers = st.sampled_from(["a", "b"])
STATUSES = ["SUCCESS", "SUCCESS", "ACCOUNT_THROTTLED", "TRANSIENT_FAILURE", "MESSAGE_REJECTED", "ODD"]


class Campaigning(RuleBasedStateMachine):
    """A campaign in the hands of two workers."""

    redis: ClassVar[Redis]

    @initialize()
    def begin(self) -> None:
        self.redis.flushall()
        store(self.redis, campaign())
        self.enqueued: list[str] = []
        self.jobs = 0
        self.statuses: dict[str, str] = {}
        self.client = BulkClient(self.answer)
        self.desks = {name: Desk(self.redis, self.client, name=name) for name in "ab"}
        self.held: list[tuple[str, Settlement]] = []
        self.said: list[tuple[str, Settlement]] = []
        self.lost: set[str] = set()
        """Entries of jobs whose worker was lost with an answer, or whose answer came too late."""

    def answer(self, to: str) -> dict[str, Any]:
        status = self.statuses.get(to, "SUCCESS")
        return success(to) if status == "SUCCESS" else {"Status": status}

    @rule(count=st.integers(min_value=1, max_value=5))
    def send(self, count: int) -> None:
        to = addresses(count, len(self.enqueued))
        self.jobs += 1
        enqueue(self.redis, campaign(), to, number=self.jobs)
        self.enqueued += to

    @rule(worker=workers, told=st.lists(st.sampled_from(STATUSES), min_size=5, max_size=5), size=numbers)
    def attempt(self, worker: str, told: list[str], size: int) -> None:
        """Claim a job and ask SES; what is written of it comes later, or never."""
        if not self.redis.llen(keys_of(self.redis).queue(QUEUE)):
            self.send(4)
        desk = self.desks[worker]
        desk.attempts._bulk()._size = max(2, size)  # type: ignore[misc, attr-defined]
        for claim in desk.claim():
            for number, status in enumerate(told):
                for to in self._entries(claim.lease.job_id)[number : number + 1]:
                    self.statuses[to] = status
            self.held.append((worker, desk.attempt(claim)))

    @rule(number=numbers)
    def settle(self, number: int) -> None:
        if self.held:
            worker, ended = self.held.pop(number % len(self.held))
            self.said.append((worker, ended))
            word = self.desks[worker].settle(ended)
            if word not in ("done", "late") and ended.bulk:
                self.lost |= {one.to for one in ended.bulk.deliveries}

    @rule(number=numbers)
    def settle_again(self, number: int) -> None:
        if self.said:
            worker, ended = self.said[number % len(self.said)]
            self.desks[worker].settle(ended)

    @rule(worker=workers)
    def leases_run_out(self, worker: str) -> None:
        for _, ended in self.held:
            self.lost |= {one.to for one in ended.bulk.deliveries} if ended.bulk else set()
        lose(self.redis, self.desks[worker])

    @rule(worker=workers)
    def promote(self, worker: str) -> None:
        make_due(self.redis)
        self.desks[worker].lifecycle.promote()

    @invariant()
    def each_entry_has_one_place(self) -> None:
        found = Counter[str]()
        for key in self.redis.scan_iter("rq:job:*"):
            found.update(self._entries(key.decode().removeprefix("rq:job:")))
        assert set(found.values()) <= {1}, found
        assert set(found) == set(self.enqueued)
        assert {to for to, times in self.client.sent.items() if times > 1} <= self.lost
        enqueued, sent, canceled = counts(self.redis)
        finished = self._finished()
        assert (enqueued, canceled) == (len(self.enqueued), 0)
        assert sent == len(finished)
        assert finished <= {to for to, times in self.client.sent.items() if times}

    def _entries(self, job_id: str) -> list[str]:
        return entries_of(self.redis, job_id, self.redis.hgetall(f"rq:job:{job_id}"))

    def _finished(self) -> set[str]:
        found = set()
        for job_id in self.redis.zrange(keys_of(self.redis).registry("finished", QUEUE), 0, -1):
            found |= set(self._entries(job_id.decode()))
        return found


@pytest.fixture
def machine(redis: Redis) -> Callable[[], Campaigning]:
    Campaigning.redis = redis
    return Campaigning


def test_every_interleaving_keeps_each_entry_in_exactly_one_place(machine: Callable[[], Campaigning]) -> None:
    began = time.monotonic()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        ),
    )
    print(f"{NAME}: {time.monotonic() - began:.1f} s")  # noqa: T201 (pytest shows it with a failure)
