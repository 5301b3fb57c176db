"""Finds jobs that stand nowhere, or where they don't belong, and puts them back.

It reads in small steps beside running workers (SCAN, batches), so what it sees of a job in motion may be
torn. Whatever looks wrong is therefore looked at again, in one step of Lua, twice, some time apart; and the
repair is made in one step, only if all of the job's places are still as they were judged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.exceptions import ResponseError
from rq.utils import utcformat

from rq_ses import contract
from rq_ses.server.jobdata import inflated_head
from rq_ses.server.serverclock import ServerClock
from rq_ses.text.plaintext import one_line
from rq_ses_worker.audit.idset import IdSet
from rq_ses_worker.audit.placement import Placement, Repair, Verdict, judge, read_placement
from rq_ses_worker.lifecycle.records import failed_fields
from rq_ses_worker.lifecycle.retry import WORKER_LOST, Failed, History, RetryPolicy, decide, lost_worker
from rq_ses_worker.lifecycle.sweep import Sweep
from rq_ses_worker.lifecycle.task import JobRefused, Task, read_job
from rq_ses_worker.server.scripts import SCRATCH, TYPED, lua
from rq_ses_worker.ses.outcome import hinted

BATCH: Final = 1000
LOOKS: Final = 100
SUSPECTS: Final = 5000
"""Jobs that are looked at a second time together, after one pause."""

_REGISTRIES: Final = ("scheduled", "finished", "failed", "canceled", "deferred")
_HOME: Final = {**{name: name for name in _REGISTRIES}, "stopped": "failed"}
_EMPTY_DATA: Final = json.dumps([contract.JOB_FUNCTION, None, [], {}])
_FUNCTION: Final = b'["' + contract.JOB_FUNCTION.encode() + b'"'


@dataclass(frozen=True, slots=True)
class Report:
    """One job that stood wrong."""

    job_id: str
    found: str
    done: str
    """What was done about it; "" if nothing was."""


class _Suspect(NamedTuple):
    job_id: bytes
    unlisted: bool = False
    """It is queued, and only missed in the list, which moves."""
    expiring: bool = False
    """It is to be sent, and has a time to live."""


class Audit:
    """Looks through one queue's jobs.

    Args:
        connection: a client that does not retry by itself, as rq_ses_worker.server.connection makes it.
        queue: its name.
        policy: what becomes of a mail that was being sent when it was lost.
        wait: seconds between the two looks; longer than a worker's transition can take.
        tell: called with the number of jobs read so far.
    """

    def __init__(
        self,
        connection: Redis,
        queue: str,
        policy: RetryPolicy,
        *,
        wait: float = 2.0,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._connection: Any = connection
        self._queue = queue
        self._policy = policy
        self._wait = wait
        self._tell = tell
        self._list = contract.queue_key(queue)
        self._intermediate = f"{self._list}:intermediate"
        self._registries = {name: contract.registry_key(name, queue) for name in _REGISTRIES}
        self._keys = [
            self._list,
            self._intermediate,
            contract.registry_key("wip", queue),
            contract.leases_key(queue),
            *self._registries.values(),
            contract.workers_key(queue),
            SCRATCH,
        ]
        self._clock = ServerClock()
        self._prefixes = [
            contract.PREFIX + kind for kind in ("job:", "execution:", "executions:", "results:", "worker:")
        ]
        self._script = connection.register_script(lua(TYPED, "audit/audit"))
        self._sweep = Sweep(connection, queue)

    def run(self, *, repair: bool = False) -> Iterator[Report]:
        """Yield what stands wrong; with `repair`, after it was mended where that is safe.

        Raises:
            RedisError: the server is away; what was reported is done, and it may simply be run again.
        """
        known: set[bytes] = set()
        suspects = self._suspects()
        while batch := list(islice(suspects, SUSPECTS)):
            fresh = [s for s in batch if s.job_id not in known and not s.expiring]
            for job_id, placement, seen, verdict in self._confirmed(fresh):
                known.add(job_id)
                done: str | None = ""
                if repair and verdict.repair:
                    done = self._mend(job_id, placement, seen, verdict.repair)
                if done is not None:
                    yield Report(_name(job_id), verdict.found, done)
            expiring = [s.job_id for s in batch if s.expiring and s.job_id not in known]
            known.update(expiring)
            yield from self._expiring(expiring, repair=repair)

    def abandoned(self) -> Iterator[Report]:
        """Mend, and yield, mails whose entry in RQ's started registry has run out without a lease.

        A stock worker that was killed leaves them, and only others of its kind would look there.
        """
        overdue = self._connection.zrangebyscore(self._keys[2], 0, self._now(), start=0, num=LOOKS)
        suspects = [_Suspect(member.partition(b":")[0]) for member in overdue]
        for job_id, placement, seen, verdict in self._confirmed(suspects):
            done = self._mend(job_id, placement, seen, verdict.repair) if verdict.repair else None
            if done is not None:
                yield Report(_name(job_id), verdict.found, done)

    def _expiring(self, ids: Sequence[bytes], *, repair: bool) -> Iterator[Report]:
        """Report those that would be gone before they are sent: RQ's requeue leaves the failure's time."""
        statuses = self._fields(ids, "status")
        ttls = self._ttls(ids)
        if repair:
            self._sweep.keep(ids)
        for job_id, (status,), ttl in zip(ids, statuses, ttls, strict=True):
            if ttl >= 0 and status in (b"queued", b"scheduled"):
                found = f"{status.decode()}, but would expire in {ttl / 1000:.0f} s"
                yield Report(_name(job_id), found, "it no longer expires" if repair else "")

    # What looks wrong at first sight

    def _suspects(self) -> Iterator[_Suspect]:
        self._waiting = IdSet()
        yield from map(_Suspect, self._suspects_in_list())
        yield from map(_Suspect, self._connection.lrange(self._intermediate, 0, -1))
        for key in self._keys[2:4]:
            for member, _ in self._connection.zscan_iter(key, count=BATCH):
                yield _Suspect(member.partition(b":")[0])
        for name, key in self._registries.items():
            for members in _chunks(self._connection.zscan_iter(key, count=BATCH)):
                yield from map(_Suspect, self._suspects_in(name, members))
        read = 0
        for keys in _chunks(self._connection.scan_iter(f"{contract.JOB_PREFIX}*", count=BATCH, _type="HASH")):
            yield from self._misplaced([key[len(contract.JOB_PREFIX) :] for key in keys])
            read += len(keys)
            self._tell(read)

    def _suspects_in_list(self) -> Iterator[bytes]:
        for ids in self._listed():
            statuses = self._fields(ids, "status")
            yield from (
                job_id for job_id, (status,) in zip(ids, statuses, strict=True) if status != b"queued"
            )

    def _listed(self) -> Iterator[list[bytes]]:
        """Read the list into `_waiting`, a batch at a time."""
        # From its end: claims at the head and pushes at the end then let nothing be passed over.
        read = 0
        waiting = IdSet()
        while ids := self._connection.lrange(self._list, -read - BATCH, -read - 1):
            for job_id in ids:
                waiting.add(job_id)
            yield ids
            read += BATCH
        self._waiting = waiting

    def _suspects_in(self, registry: str, members: Sequence[tuple[bytes, float]]) -> Iterator[bytes]:
        now = self._now()
        statuses = self._fields([member for member, _ in members], "status")
        for (job_id, score), (status,) in zip(members, statuses, strict=True):
            if status is None and registry in ("finished", "failed", "canceled") and score <= now + 60:
                continue  # both have had their time; a worker's sweep drops the entry
            if _HOME.get((status or b"").decode("utf-8", "replace")) != registry:
                yield job_id

    def _misplaced(self, ids: Sequence[bytes]) -> Iterator[_Suspect]:
        """Return those of these jobs of our queue that aren't where their status says."""
        ids = [job_id for job_id in ids if b":" not in job_id]
        resting: list[tuple[bytes, str]] = []
        fields = self._fields(ids, "origin", "status")
        for job_id, (origin, raw), has_data, ttl in zip(
            ids, fields, self._have_data(ids), self._ttls(ids), strict=True
        ):
            if not self._is_ours(job_id, origin):
                continue
            status = (raw or b"").decode("utf-8", "replace")
            if status in ("queued", "scheduled") and ttl >= 0:
                yield _Suspect(job_id, expiring=True)
            if status in ("started", "") or (status in ("queued", "scheduled") and not has_data):
                yield _Suspect(job_id)
            elif status == "queued":
                if job_id not in self._waiting:
                    yield _Suspect(job_id, unlisted=True)
            elif status in _HOME:
                resting.append((job_id, status))
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id, status in resting:
                pipeline.zscore(self._registries[_HOME[status]], job_id)
            scores = pipeline.execute()
        missing = zip(resting, scores, strict=True)
        yield from (_Suspect(job_id) for (job_id, _), score in missing if score is None)

    def _is_ours(self, job_id: bytes, origin: bytes | None) -> bool:
        if origin:
            return bool(origin == self._queue.encode())
        data = self._connection.hget(contract.JOB_PREFIX.encode() + job_id, "data")
        return data is not None and inflated_head(data, 256).startswith(_FUNCTION)

    def _fields(self, ids: Sequence[bytes], *names: str) -> list[list[bytes | None]]:
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(contract.JOB_PREFIX.encode() + job_id, names)
            answers = pipeline.execute(raise_on_error=False)
        return [[None] * len(names) if _is_no_job(answer) else answer for answer in answers]

    def _have_data(self, ids: Sequence[bytes]) -> list[bool]:
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hexists(contract.JOB_PREFIX.encode() + job_id, "data")
            answers = pipeline.execute(raise_on_error=False)
        return [not _is_no_job(answer) and bool(answer) for answer in answers]

    def _ttls(self, ids: Sequence[bytes]) -> list[int]:
        """Return milliseconds; -1 where a job doesn't expire, -2 where there is none."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.pttl(contract.JOB_PREFIX.encode() + job_id)
            ttls: list[int] = pipeline.execute()
        return ttls

    # What is wrong at the second

    def _confirmed(self, suspects: Sequence[_Suspect]) -> Iterator[tuple[bytes, Placement, bytes, Verdict]]:
        """Yield those that stand wrong, and as wrong some time later."""
        if len(suspects) > LOOKS:
            # Most were enqueued while we read: the list, read anew, tells so without a search for each.
            for _ in self._listed():
                pass
            suspects = [s for s in suspects if not (s.unlisted and s.job_id in self._waiting)]
        ids = {suspect.job_id for suspect in suspects}
        first = {job_id: seen for job_id, seen in self._look(list(ids)) if self._judged(seen)}
        if not first:
            return
        time.sleep(self._wait)
        for job_id, seen in self._look(list(first)):
            placement = read_placement(seen)
            verdict = self._judged(seen)
            if verdict and seen == first[job_id]:
                yield job_id, placement, seen, verdict

    def _judged(self, seen: bytes) -> Verdict | None:
        return judge(read_placement(seen), datetime.fromtimestamp(self._now(), UTC))

    def _now(self) -> float:
        """Return the server's time, for this host's may be wrong."""
        if self._clock.age == float("inf"):
            self._clock.ask(self._connection)
        return self._clock.now()

    def _look(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for job_id in ids:
            seen, _ = self._script(keys=self._keys, args=[job_id, *self._prefixes, "", ""])
            yield job_id, seen

    # The repair

    def _mend(self, job_id: bytes, placement: Placement, seen: bytes, repair: Repair) -> str | None:
        """Put a job where it belongs and say what was done; None if it has moved by itself."""
        meta = None
        if repair.unknown:
            repair, meta = self._resolved(job_id, placement, repair)
        order: dict[str, Any] = {
            "place": repair.place,
            "status": repair.status,
            "now": utcformat(datetime.fromtimestamp(self._now(), UTC)),
            "origin": self._queue,
            "failure_ttl": contract.FAILURE_TTL,
        }
        if meta:
            order["meta"] = json.dumps(meta)
        if repair.line:
            order.update(failed_fields(repair.line))
        if not placement.has_data:
            order["data"] = _EMPTY_DATA
        args: list[Any] = [job_id, *self._prefixes, seen, json.dumps(order)]
        _, word = self._script(keys=self._keys, args=args)
        return repair.done if word == b"repaired" else None

    def _resolved(self, job_id: bytes, placement: Placement, repair: Repair) -> tuple[Repair, dict[str, Any]]:
        """Decide about a mail that was being sent when it was lost, as for any worker that was lost."""
        executions = placement.started
        fresh = any(execution.ours and execution.id.endswith("1") for execution in executions)
        outcome = lost_worker(one_line(placement.worker, 100))
        ended = self._now()
        history = History.from_meta(placement.meta, fresh=fresh)
        if not _is_noted(placement):
            history = history.after(outcome, ended)
        task = self._task(job_id)
        policy = self._policy.for_mail(task.on_unknown) if task else self._policy
        decision = decide(outcome, history, policy, ended=ended, expires=task.expires if task else None)
        meta = history.to_meta(outcome)
        if isinstance(decision, Failed):
            return Repair(
                "failed", "failed", f"failed: {decision.line}", line=hinted(decision.line, outcome)
            ), meta
        return repair, meta

    def _task(self, job_id: bytes) -> Task | None:
        data = self._connection.hget(contract.JOB_PREFIX.encode() + job_id, "data")
        try:
            return read_job(data) if data else None
        except JobRefused:
            return None  # the worker that claims it will say so


def _is_noted(placement: Placement) -> bool:
    """Tell whether a stock worker's attempt is counted already: job.py does so before the request leaves."""
    if not placement.started or any(execution.ours for execution in placement.started):
        return False
    try:
        return bool(json.loads(placement.meta)["last_outcome"]["code"] == WORKER_LOST)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(items, BATCH)):
        yield chunk


def _name(job_id: bytes) -> str:
    return one_line(job_id.decode("utf-8", "backslashreplace"), 100)


def _is_no_job(answer: object) -> bool:
    """Tell whether a key is of another type, and so no job; any other error is raised."""
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return True
    if isinstance(answer, Exception):
        raise answer
    return False
