"""Random interleavings of everybody who moves a mail, and what must hold after each step.

Two workers, a producer, RQ's own API, a stock RQ worker that takes a job and dies, leases that run out, and
answers that come late. The model knows only what no reader of Redis may ever doubt: which mails there are,
and which SES has accepted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from rq import Queue
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.registry import (
    CanceledJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
)
from rq.serializers import JSONSerializer

from rq_ses import Outbox, contract
from rq_ses.errors import IdempotencyConflict
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.mails.picking import latest, some
from support.mails.seen import Seen, job_of, look

QUEUE = "mail"
SCHEDULED, LEASES = KEYS.registry("scheduled", QUEUE), KEYS.leases(QUEUE)
KEYED = {contract.keyed_job_id(QUEUE, key): key for key in ("k1", "k2")}
UNSENT = {"queued", "scheduled", "started"}
REGISTRIES = {
    "scheduled": ScheduledJobRegistry,
    "finished": FinishedJobRegistry,
    "failed": FailedJobRegistry,
    "canceled": CanceledJobRegistry,
}
numbers = st.integers(min_value=0, max_value=7)
workers = st.sampled_from(["a", "b"])
endings = st.sampled_from(["sent", "retry", "failed", "back"])


@dataclass
class Attempt:
    """A claim in some worker's hands; `ended` once its worker has settled it, whatever came of that."""

    worker: str
    claim: Claim
    life: int
    """Which of the mails that had this id, one after the other."""
    ended: Settlement | None = None
    written: Settlement | None = None


class Lifetimes(RuleBasedStateMachine):
    """Mails in the hands of everybody."""

    redis: ClassVar[Redis]
    numbers: ClassVar[Iterator[int]]

    @initialize()
    def begin(self) -> None:
        self.redis.flushall()
        Lifetimes.numbers = count()
        self.outbox = Outbox(connection=self.redis)
        self.queue = Queue(QUEUE, connection=self.redis, serializer=JSONSerializer)
        self.lifecycles = {
            "a": Lifecycle(self.redis, [QUEUE], "a", "aaaaaaaa", 30.0),
            "b": Lifecycle(self.redis, [QUEUE], "b", "bbbbbbbb", 30.0),
        }
        self.attempts: list[Attempt] = []
        self.lives: Counter[str] = Counter()
        self.alive: set[str] = set()
        self.accepted: set[str] = set()
        self.requeued: set[str] = set()
        """Failed once and requeued by RQ, whose requeue leaves the failure's TTL until the next claim."""
        self.stolen: set[str] = set()
        """Taken from the list by a stock worker that died."""
        self.strayed: set[str] = set()
        self.parted: set[str] = set()
        """Executions whose job was canceled or deleted: RQ doesn't know of one that was never renewed."""
        self.renewed: set[str] = set()
        self.overdue: dict[str, list[Lease]] = {"a": [], "b": []}

    # The producer

    @rule(delay=st.sampled_from([None, None, 0.0, 60.0]))
    def send(self, delay: float | None) -> None:
        self._known(self.outbox.send(mail(), delay=delay).job_id)

    @rule(key=st.sampled_from(sorted(KEYED.values())), text=st.sampled_from(["x", "x", "y"]))
    def send_with_a_key(self, key: str, text: str) -> None:
        job_id = contract.keyed_job_id(QUEUE, key)
        status = self.redis.hget(KEYS.job(job_id), "status")
        leases = self.redis.zrange(LEASES, 0, -1)
        under_way = any(job_of(member.decode()) == job_id for member in leases)
        there = status is not None and (status != b"canceled" or under_way)
        try:
            receipt = self.outbox.send(mail(text=text), key=key)
        except IdempotencyConflict:
            assert there
            return
        assert receipt.job_id == job_id
        assert receipt.duplicate == there
        if there:
            self.requeued.discard(job_id)
        else:
            self._known(job_id)

    @rule(text=st.sampled_from(["x", "y"]))
    def a_key_is_freed_and_used_again(self, text: str) -> None:
        """The worst moment for it: while the mail that had the key is being sent."""
        for job_id in sorted(set(KEYED) & self._having("started")):
            self._delete(self._job(job_id))
            self.send_with_a_key(KEYED[job_id], text)

    # Workers

    @rule(worker=workers, wanted=st.integers(min_value=1, max_value=3))
    def claim(self, worker: str, wanted: int) -> None:
        if not self.redis.llen(self.queue.key):
            self.send(None)
        claims, _ = self.lifecycles[worker].claim(wanted)
        assert len(claims) <= wanted
        for claim in claims:
            job_id = claim.lease.job_id
            assert job_id in self.alive
            assert job_id not in self.accepted, "an accepted mail was handed out again"
            self.requeued.discard(job_id)
            self.attempts.append(Attempt(worker, claim, self.lives[job_id]))
        assert self.lifecycles[worker].gate_state().claimed == len(self.attempts), "the gate counts otherwise"

    @rule(number=numbers, ending=endings, delay=st.sampled_from([0.0, 60.0]))
    def settle(self, number: int, ending: str, delay: float) -> None:
        """A worker ends an attempt, in time or late."""
        for attempt in latest(self._open(), number):
            attempt.ended = settlement(attempt.claim.lease, ending, delay)
            self._settle(attempt)

    @rule(number=numbers)
    def settle_again(self, number: int) -> None:
        """A worker says what it has said before: the answer was lost."""
        for attempt in latest([attempt for attempt in self.attempts if attempt.ended], number):
            self._settle(attempt)

    def _settle(self, attempt: Attempt) -> None:
        ending, lease = attempt.ended, attempt.claim.lease
        assert ending is not None
        standing = self.redis.zscore(LEASES, f"{lease.job_id}:{lease.execution}") is not None
        [word] = self.lifecycles[attempt.worker].settle([ending], clock=time.monotonic())
        if not standing and attempt.written != ending:
            assert word != "done", "an outcome was written without a lease"
            assert ending.action == "sent" or word == "lost"
        if word in ("done", "late", "accepted"):
            assert attempt.life == self.lives[lease.job_id], "an answer was written to another mail"
            attempt.written = ending
            if ending.action == "sent":
                self.accepted.add(lease.job_id)

    @rule(worker=workers)
    def promote(self, worker: str) -> None:
        due = {
            job_id.decode() for job_id in self.redis.zrangebyscore(SCHEDULED, "-inf", time.time() - 0.01)
        } & self._having("scheduled")
        moved, _ = self.lifecycles[worker].promote()
        assert moved >= len(due)
        assert due <= self._having("queued")

    @rule(finders=st.sampled_from(["a", "b", "ab"]), number=numbers)
    def a_lease_runs_out(self, finders: str, number: int) -> None:
        """A worker is away for too long, and one or both find what it had."""
        for attempt in latest(self._open(), number):
            lease = attempt.claim.lease
            self.redis.zadd(LEASES, {f"{lease.job_id}:{lease.execution}": time.time() - 1}, xx=True)
        for worker in finders:
            self.overdue[worker] = [found.lease for found in self.lifecycles[worker].reclaim()]

    @rule(worker=workers, ending=st.sampled_from(["back", "failed"]), returned=st.booleans())
    def end_dead_leases(self, worker: str, ending: str, returned: bool) -> None:
        """A while later: perhaps the other has done it, or their worker has returned from where it was."""
        if returned:
            self.lifecycles["a"].renew(self.overdue[worker])
            self.renewed |= {lease.member for lease in self.overdue[worker]}
        for lease in self.overdue[worker]:
            end = self.redis.zscore(LEASES, f"{lease.job_id}:{lease.execution}")
            [word] = self.lifecycles[worker].settle(
                [settlement(lease, ending, overdue=True)], clock=time.monotonic()
            )
            assert (end is not None and end < time.time()) or word == "lost"

    @rule(worker=workers, number=numbers)
    def renew(self, worker: str, number: int) -> None:
        for attempt in latest(self._open(), number):
            lease = attempt.claim.lease
            stands = self.redis.zscore(LEASES, f"{lease.job_id}:{lease.execution}") is not None
            assert self.lifecycles[worker].renew([lease]) == [lease] * stands
            self.renewed.add(f"{lease.job_id}:{lease.execution}")

    # RQ's own API, its worker, and what they leave behind

    @rule(number=numbers, state=st.sampled_from(["queued", "scheduled", "started"]))
    def cancel(self, number: int, state: str) -> None:
        for job_id in some(self._having(state), number):
            self._part(job_id)
            self._job(job_id).cancel()
            self.stolen.discard(job_id)

    @rule(number=numbers, state=st.sampled_from(["queued", "scheduled", "started", "finished", "failed"]))
    def delete(self, number: int, state: str) -> None:
        for job_id in some(self._having(state), number):
            self._delete(self._job(job_id))

    @rule(number=numbers, at_front=st.booleans())
    def requeue(self, number: int, at_front: bool) -> None:
        for job_id in some(self._having("failed"), number):
            self._job(job_id).requeue(at_front=at_front)
            self.requeued.add(job_id)
            if at_front:
                self.claim("a", 1)

    @rule()
    def a_stock_worker_takes_a_job_and_dies(self) -> None:
        taken = Queue.lmove(self.redis, self.queue.key, None)
        if taken:
            job_id = taken[1].decode()
            if self.redis.lpos(self.queue.key, job_id) is None and job_id in self.alive:
                self.stolen.add(job_id)

    @rule()
    def what_a_stock_worker_took_is_put_back(self) -> None:
        for job_id in sorted(self.stolen):
            self.redis.lrem(IntermediateQueue(self.queue.key, self.redis).key, 0, job_id)
            if self.redis.hget(KEYS.job(job_id), "status") == b"queued":
                self.redis.rpush(self.queue.key, job_id)
        self.stolen.clear()

    @rule(number=numbers, where=st.sampled_from(["queued", "scheduled"]))
    def an_id_strays(self, number: int, where: str) -> None:
        """An id stands where its job isn't, or a second time in the list."""
        for job_id in some(self.alive, number):
            self.strayed.add(job_id)
            if where == "queued":
                self.redis.lpush(self.queue.key, job_id)
                self.stolen.discard(job_id)
            else:
                self.redis.zadd(SCHEDULED, {job_id: 1.0})

    # What must hold

    @invariant()
    def every_mail_is_in_order(self) -> None:
        seen = look(self.redis, QUEUE)
        self._check_places(seen)
        self._check_leases(seen)
        for job_id, status in seen.status.items():
            if status in UNSENT and job_id not in self.requeued:
                assert seen.ttl[job_id] == -1, f"{job_id}: {status}, and it expires"
            if job_id in self.accepted:
                assert status == "finished", f"{job_id}: {status}, though SES has it"
        self._check_rqs_view(seen)

    def _check_places(self, seen: Seen) -> None:
        assert set(seen.status) == self.alive
        for job_id, status in seen.status.items():
            places = self._places_of(job_id, seen)
            if job_id in self.strayed:
                # Strays are dropped when their turn comes; what matters is where the job can be found.
                assert status in places or job_id in self.stolen
                places = [place for place in places if place not in ("queued", "scheduled")]
                assert places == [status] * (status not in ("queued", "scheduled")), f"{status} in {places}"
            elif job_id in self.stolen and not places:
                assert status == "queued"
            else:
                assert places == [status], f"{job_id}: {status} in {places}"

    def _places_of(self, job_id: str, seen: Seen) -> list[str]:
        """Return a job's places, but for those of executions that it has been parted from."""
        places = list(seen.places.get(job_id, []))
        for member in seen.wip & self.parted:
            if job_of(member) == job_id:
                places.remove("started")
        return places

    def _check_leases(self, seen: Seen) -> None:
        started = {job_id for job_id, status in seen.status.items() if status == "started"}
        # RQ's cancel and delete leave these until the attempt ends: they know of none that wasn't renewed.
        assert sorted(job_of(member) for member in seen.wip - self.parted) == sorted(started)
        assert seen.wip <= seen.leases
        assert seen.executions <= seen.leases & self.renewed
        assert seen.indexes == {job_of(member) for member in seen.executions}
        assert seen.leases <= {f"{a.claim.lease.job_id}:{a.claim.lease.execution}" for a in self.attempts}

    def _check_rqs_view(self, seen: Seen) -> None:
        for job_id, status in seen.status.items():
            job = Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)
            assert job.get_status(refresh=False) == status
            assert job.func_name == contract.JOB_FUNCTION
            if status == "finished":
                assert job.return_value() == {"message_id": "m"}
            if status == "failed":
                assert job.latest_result().exc_string == "MessageRejected: no"
        counts = Counter(seen.status.values())
        if self.strayed & self.alive:
            return
        for name, registry in REGISTRIES.items():
            assert registry(queue=self.queue).count == counts[name]
        away = {job_id for job_id in self.stolen if not self._places_of(job_id, seen)}
        assert self.queue.count == counts["queued"] - len(away)

    # Helpers

    def _known(self, job_id: str) -> None:
        self.alive.add(job_id)
        self.lives[job_id] += 1

    def _open(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.ended is None]

    def _having(self, state: str) -> set[str]:
        return {
            job_id for job_id in self.alive if self.redis.hget(KEYS.job(job_id), "status") == state.encode()
        }

    def _job(self, job_id: str) -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)

    def _part(self, job_id: str) -> None:
        members = map(bytes.decode, self.redis.zrange(LEASES, 0, -1))
        self.parted |= {member for member in members if job_of(member) == job_id}

    def _delete(self, job: Job) -> None:
        self._part(job.id)
        job.delete()
        for known in (self.alive, self.accepted, self.requeued, self.stolen):
            known.discard(job.id)
        # RQ's delete leaves strays in the scheduled registry, and all but one in the list.
        self.redis.zrem(SCHEDULED, job.id)
        self.redis.lrem(self.queue.key, 0, job.id)
        self.strayed.discard(job.id)


def settlement(lease: Lease, ending: str, delay: float = 0.0, *, overdue: bool = False) -> Settlement:
    fields: dict[str, dict[str, Any]] = {
        "sent": sent_fields({"message_id": "m"}),
        "retry": {"delay": delay},
        "failed": failed_fields("MessageRejected: no"),
        "back": {},
    }
    action: Any = ending
    return Settlement(
        lease, action, datetime.now(UTC), {"attempts": 1}, fields[ending], time.monotonic(), overdue
    )


@pytest.fixture
def machine(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> type[Lifetimes]:
    Lifetimes.redis = redis
    # The same ids in the same order, so that a failure can be had again.
    monkeypatch.setattr(contract, "new_job_id", lambda: f"mail-{next(Lifetimes.numbers)}")
    return Lifetimes


# Ten thousand steps: on a machine that is busy with other tests they take their time.
@pytest.mark.timeout(600)
def test_every_interleaving_keeps_each_mail_in_exactly_one_place(machine: type[Lifetimes]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=50,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        ),
    )
