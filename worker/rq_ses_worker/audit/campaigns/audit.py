"""Finds campaigns that don't fit together: records, jobs and terms that miss one another, impossible counts.

All keys are read twice, some time apart, beside running workers: what is in motion is left alone. Each repair
is one step, and only made while the record still says what was seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis import Redis

from rq_ses import contract, states
from rq_ses.keys import keys_of
from rq_ses.rqdate import utcformat
from rq_ses.text.plaintext import one_line
from rq_ses_worker.audit.campaigns.looking import Looking, Seen, text
from rq_ses_worker.audit.campaigns.records import Record, Tally, is_there, judge
from rq_ses_worker.audit.campaigns.sweep import CampaignSweep
from rq_ses_worker.audit.places import Places
from rq_ses_worker.server.scripts import TYPED, Parts, lua

MEND: Final[Parts] = (TYPED, "audit/campaigns/mend")

_RESENT: Final = "send the campaign again under its name (`rq-ses campaign send`), or import an export of it"


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """Something that doesn't fit together."""

    what: str
    """`campaign NAME`, or `terms HASH`."""
    found: str
    done: str
    """What was done about it; "" if nothing was."""


class _Mend(NamedTuple):
    """A finding with its repair, if it has one."""

    what: str
    found: str
    repair: Callable[[], str] | None = None


class CampaignAudit:
    """Looks through the campaigns under one prefix.

    Args:
        connection: a client that does not retry by itself, as rq_ses_worker.server.connection makes it.
        wait: seconds between the two looks.
        tell: called with the number of keys read so far.
    """

    def __init__(
        self, connection: Redis, *, wait: float = 2.0, tell: Callable[[int], None] = lambda _: None
    ) -> None:
        self._connection: Any = connection
        self._redis = connection
        self._keys = keys_of(connection)
        self._looking = Looking(connection, tell)
        self._wait = wait
        self._sweep = CampaignSweep(connection)
        self._script: Any = connection.register_script(lua(*MEND))

    def run(self, *, repair: bool = False) -> Iterator[CampaignReport]:
        """Yield what doesn't fit together; with `repair`, after it was mended where that is safe.

        Raises:
            RedisError: the server is away; what was reported is done, and it may simply be run again.
        """
        if not self._looking.any():
            return
        first = self._looking.look()
        time.sleep(self._wait)
        second = self._looking.look()
        for found in self._findings(first, second):
            done = found.repair() if repair and found.repair else ""
            yield CampaignReport(found.what, found.found, done)

    # What is found

    def _findings(self, first: Seen, second: Seen) -> Iterator[_Mend]:
        for name in sorted(second.records):
            record, tally = second.records[name], second.tally(name)
            if first.records.get(name) != record or first.tally(name).totals != tally.totals:
                continue  # in motion
            yield from self._of_campaign(name, record, tally, second)
        owned = {record["terms"] for record in second.records.values() if record["terms"]}
        orphans = (first.terms & second.terms) - owned
        used = self._looking.used() if orphans else set()
        for terms in sorted(orphans - used):
            drop = self._mending("terms", terms, self._keys.terms(terms), "deleted")
            yield _Mend(f"terms {one_line(terms, 60)}", "no campaign has them, and no job", drop)

    def _of_campaign(self, name: str, record: Record, tally: Tally, seen: Seen) -> Iterator[_Mend]:
        what = f"campaign {one_line(name, 100)}"
        if not is_there(record):
            yield from self._without_record(what, name, record, tally, seen)
            return
        if name not in seen.named:
            put = self._writing(name, record, {}, "named again")
            yield _Mend(
                what, "isn't among the names of all campaigns: no list shows it, and it is kept for ever", put
            )
        if record["terms"] not in seen.terms and tally.left:
            yield _Mend(
                what,
                f"its terms {record['terms']} are missing, and {tally.left:,} entries need them: {_RESENT}",
            )
        if record["state"] != "paused":
            for job_id in tally.deferred:
                yield self._deferred(what, job_id)
        # A worker that divides a job, or a producer that is at work, changes both a moment apart.
        if not tally.started and not record["writing"] and (found := judge(record, tally)):
            yield _Mend(what, found.found, self._writing(name, record, found.fields, found.done))

    def _without_record(
        self, what: str, name: str, record: Record, tally: Tally, seen: Seen
    ) -> Iterator[_Mend]:
        if not tally.left:
            if name in seen.named:
                drop = self._forgotten(name)
                yield _Mend(what, "is among the names of all campaigns, but has no record", drop)
            return
        queue, terms = self._looking.job(tally.sample)
        found = f"has no record, but jobs with {tally.left:,} entries"
        if terms not in seen.terms:
            yield _Mend(what, f"{found}, and their terms {terms} are missing: {_RESENT}")
            return
        fields = {
            "queue": queue,
            "terms": terms,
            "state": "sending",
            "complete": "1",
            "enqueued": str(tally.left),
            # Numbers of jobs that others have given ids to.
            "jobs": "1000000000",
        }
        yield _Mend(what, found, self._writing(name, record, fields, "its record is written anew"))

    def _deferred(self, what: str, job_id: bytes) -> _Mend:
        queue, _ = self._looking.job(job_id)
        found = f"job {one_line(text(job_id), 100)} is deferred, but the campaign isn't paused"
        places = Places(self._redis, queue)
        seen = places.look(job_id)

        def put_back() -> str:
            seconds, micros = self._connection.time()
            order = {
                "place": "queue",
                "status": states.QUEUED,
                "now": utcformat(datetime.fromtimestamp(seconds + micros / 1e6, UTC)),
                "origin": queue,
                "failure_ttl": contract.FAILURE_TTL,
            }
            return "put back into the queue" if places.mend(job_id, seen, order) else ""

        return _Mend(what, found, put_back)

    # Repairs

    def _writing(self, name: str, record: Record, fields: Mapping[str, str], done: str) -> Callable[[], str]:
        key = self._keys.campaign(name)
        return self._mending("record", name, key, done, json.dumps(record), json.dumps(fields))

    def _mending(self, kind: str, name: str, key: str, done: str, *rest: str) -> Callable[[], str]:
        keys = [self._keys.scratch, self._keys.campaigns, key]
        args = [kind, name, *(rest or (self._keys.campaign(""),))]

        def mend() -> str:
            return done if self._script(keys=keys, args=args) else ""

        return mend

    def _forgotten(self, name: str) -> Callable[[], str]:
        def forget() -> str:
            return "its name is removed" if self._sweep.forget(name) == b"gone" else ""

        return forget
