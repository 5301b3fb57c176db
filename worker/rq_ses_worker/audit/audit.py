"""Finds jobs that stand nowhere, or where they don't belong, and puts them back.

What looks wrong at first sight (scan.py) is looked at again, in one step of Lua, twice, some time apart, and
judged (placement.py); the repair is made in one step, only if all of the job's places are still as they were
judged.
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

from rq_ses import contract, states
from rq_ses.rqdate import utcformat
from rq_ses.server.serverclock import ServerClock
from rq_ses.text.plaintext import one_line
from rq_ses_worker.audit.jobs import Jobs
from rq_ses_worker.audit.lost import resolved
from rq_ses_worker.audit.placement import Placement, Verdict, judge, read_placement
from rq_ses_worker.audit.places import Places
from rq_ses_worker.audit.scan import Scan, Suspect
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.lifecycle.records import failed_fields
from rq_ses_worker.lifecycle.retry import RetryPolicy

LOOKS: Final = 100
"""Suspects up to which each is searched for in the list by itself; for more, the list is read anew."""

SUSPECTS: Final = 5000
"""Jobs that are looked at a second time together, after one pause."""

_EMPTY_DATA: Final = json.dumps([contract.JOB_FUNCTION, None, [], {}])


@dataclass(frozen=True, slots=True)
class Report:
    """One job that stood wrong."""

    job_id: str
    found: str
    done: str
    """What was done about it; "" if nothing was."""
    home: str = ""
    """The prefix of the partition it belongs to, where it stands in another one: no repair moves it."""


class _Confirmed(NamedTuple):
    """A job that stood wrong twice, in the same way."""

    job_id: bytes
    seen: bytes
    placement: Placement
    verdict: Verdict


class Audit:
    """Looks through one queue's jobs.

    Args:
        connection: a client that does not retry by itself, as rq_ses_worker.server.connection makes it.
        queue: its name.
        policy: what becomes of a mail that was being sent when it was lost.
        wait: seconds between the two looks; longer than a worker's transition can take.
        tell: called with the number of jobs read so far.
        home: returns the prefix of the partition that a job belongs to; "" if it is this one.
    """

    def __init__(
        self,
        connection: Redis,
        queue: str,
        policy: RetryPolicy,
        *,
        wait: float = 2.0,
        tell: Callable[[int], None] = lambda _: None,
        home: Callable[[bytes], str] = lambda _: "",
    ) -> None:
        self._connection: Any = connection
        self._queue = queue
        self._policy = policy
        self._wait = wait
        self._clock = ServerClock()
        self._places = Places(connection, queue)
        self._jobs = Jobs(connection, queue)
        self._scan = Scan(connection, self._places, self._jobs, self._now, tell, home)
        self._sweep = Sweep(connection, queue)

    def run(self, *, repair: bool = False) -> Iterator[Report]:
        """Yield what stands wrong; with `repair`, after it was mended where that is safe.

        Raises:
            RedisError: the server is away; what was reported is done, and it may simply be run again.
        """
        known: set[bytes] = set()
        suspects = self._scan.suspects()
        while looked := list(islice(suspects, SUSPECTS)):
            yield from _strays(looked)
            batch = [s for s in looked if not s.home]
            fresh = [s for s in batch if s.job_id not in known and not s.expiring]
            for wrong in self._confirmed(fresh):
                known.add(wrong.job_id)
                done = self._mend(wrong) if repair and wrong.verdict.repair else ""
                if done is not None:
                    yield Report(_name(wrong.job_id), wrong.verdict.found, done)
            expiring = [s.job_id for s in batch if s.expiring and s.job_id not in known]
            known.update(expiring)
            yield from self._expiring(expiring, repair=repair)

    def abandoned(self) -> Iterator[Report]:
        """Mend, and yield, mails whose entry in RQ's started registry has run out without a lease.

        A stock worker that was killed leaves them, and only others of its kind would look there. Raises
        RedisError.
        """
        overdue = self._connection.zrangebyscore(self._places.started, 0, self._now(), start=0, num=LOOKS)
        suspects = [Suspect(member.partition(b":")[0]) for member in overdue]
        for wrong in self._confirmed(suspects):
            done = self._mend(wrong)
            if done is not None:
                yield Report(_name(wrong.job_id), wrong.verdict.found, done)

    def _expiring(self, ids: Sequence[bytes], *, repair: bool) -> Iterator[Report]:
        """Report those that would be gone before they are sent: RQ's requeue leaves the failure's time."""
        statuses = self._jobs.fields(ids, "status")
        ttls = self._jobs.ttls(ids)
        if repair:
            self._sweep.keep(ids)
        for job_id, (raw,), ttl in zip(ids, statuses, ttls, strict=True):
            status = (raw or b"").decode("utf-8", "replace")
            if ttl >= 0 and status in states.WAITING:
                found = f"{status}, but would expire in {ttl / 1000:.0f} s"
                yield Report(_name(job_id), found, "it no longer expires" if repair else "")

    def _confirmed(self, suspects: Sequence[Suspect]) -> Iterator[_Confirmed]:
        """Yield those that stand wrong, and as wrong some time later."""
        if len(suspects) > LOOKS:
            suspects = self._scan.still_missing(suspects)
        ids = {suspect.job_id for suspect in suspects}
        first = {job_id: seen for job_id, seen in self._look(list(ids)) if self._judged(read_placement(seen))}
        if not first:
            return
        time.sleep(self._wait)
        for job_id, seen in self._look(list(first)):
            placement = read_placement(seen)
            verdict = self._judged(placement)
            if verdict and seen == first[job_id]:
                yield _Confirmed(job_id, seen, placement, verdict)

    def _look(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for job_id in ids:
            yield job_id, self._places.look(job_id)

    def _judged(self, placement: Placement) -> Verdict | None:
        return judge(placement, datetime.fromtimestamp(self._now(), UTC))

    def _now(self) -> float:
        """Return the server's time, for this host's may be wrong."""
        if self._clock.age == float("inf"):
            self._clock.ask(self._connection)
        return self._clock.now()

    def _mend(self, wrong: _Confirmed) -> str | None:
        """Put a job where it belongs and say what was done; None if it moved by itself, or must wait."""
        repair, meta = wrong.verdict.repair, None
        if repair is None:
            return None
        now = self._now()
        if repair.unknown:
            task = self._jobs.task(wrong.job_id)
            repair, meta = resolved(wrong.placement, repair, task, self._policy, now=now)
        order: dict[str, Any] = {
            "place": repair.place,
            "status": repair.status,
            "now": utcformat(datetime.fromtimestamp(now, UTC)),
            "origin": self._queue,
            "failure_ttl": contract.FAILURE_TTL,
        }
        if meta:
            order["meta"] = json.dumps(meta)
        if repair.line:
            order.update(failed_fields(repair.line))
        if not wrong.placement.has_data:
            order["data"] = _EMPTY_DATA
        return repair.done if self._places.mend(wrong.job_id, wrong.seen, order) else None


def _strays(suspects: Sequence[Suspect]) -> Iterator[Report]:
    """Report those that belong to other partitions; a scan may find one twice."""
    for job_id, home in {s.job_id: s.home for s in suspects if s.home}.items():
        yield Report(_name(job_id), f"belongs to partition {home}", "", home)


def _name(job_id: bytes) -> str:
    return one_line(job_id.decode("utf-8", "backslashreplace"), 100)
