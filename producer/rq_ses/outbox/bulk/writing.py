"""Plans how a campaign is written to one server, in steps that are tried again until they are done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from redis.exceptions import NoScriptError

from rq_ses import contract
from rq_ses.campaign.names import BUCKET
from rq_ses.errors import CampaignConflict
from rq_ses.keys import Keys
from rq_ses.outbox.arguments import Terms
from rq_ses.outbox.bulk.filling import Job, Stored
from rq_ses.outbox.plans.durability import Confirmation, Durability
from rq_ses.outbox.plans.retrying import Retrying
from rq_ses.outbox.plans.steps import Exchange, Line, Words
from rq_ses.plan import Plan
from rq_ses.rqdate import utcformat
from rq_ses.server.script import Source

_BUCKETS: Final = " ".join(f"{number:0{BUCKET}x}" for number in range(16**BUCKET))
_PROBLEMS: Final = {
    "conflict": (
        "it exists with another template or other terms: give this one a name of its own, or the same "
        "template and terms as before"
    ),
    "canceled": "it was canceled: give another one a name of its own",
    "gone": "it was deleted meanwhile: call again",
}


class Server(NamedTuple):
    """One server, or partition, of an Outbox."""

    line: Line
    name: str
    """What tells it from others."""
    keys: Keys


class Durable:
    """Whether a call waits until what it writes is durable, and why that isn't confirmed ("": it is)."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self.doubt = ""

    @property
    def waits(self) -> bool:
        """Whether to wait; after the first doubt there is nothing to wait for."""
        return self._wanted and not self.doubt


class BulkWriting:
    """Writes campaigns to one server. Threads may share it.

    Args:
        server: where.
        terms: what all jobs of the Outbox have.
        timeout: seconds for which a call is tried again.
        confirmation: what a durable call waits for.
    """

    def __init__(self, server: Server, terms: Terms, *, timeout: float, confirmation: Confirmation) -> None:
        self._line = server.line
        self._keys = server.keys
        self._terms = terms
        self._queue = contract.queue_name(terms.queue, "bulk")
        self._record = Source("outbox/bulk/record")
        self._enqueue = Source("outbox/bulk/enqueue")
        self._retrying = Retrying(server.line, f"{server.keys.prefix} {server.name}", timeout)
        self._durability = Durability(server.line, server.keys.durable, confirmation)
        self._longest = confirmation.longest

    def now(self) -> Plan[float]:
        """Return the server's time (epoch seconds). Raises OutboxUnavailable."""
        return self._retrying.now()

    def check_durability(self) -> Plan[None]:
        """Find out, once, what the server can confirm. Raises OutboxUnavailable, DurabilityUnconfirmed."""
        return self._retrying.call(self._durability.check)

    def record(self, step: str, campaign: Stored, numbers: int = 0) -> Plan[tuple[int, int]]:
        """Carry out a step of record.lua; return the first of the numbers, and how many entries there are.

        Args:
            step: "begin", "numbers" or "end".
            campaign: whose record it is.
            numbers: how many numbers of jobs are taken.

        Raises:
            OutboxUnavailable: the server didn't answer in time, or refuses.
            CampaignConflict: the campaign is another one, or over.
        """
        name, terms = campaign.name, campaign.terms.hash
        keys = (self._keys.campaigns, self._keys.scratch, self._keys.campaign(name), self._keys.terms(terms))
        args: tuple[Any, ...] = (
            step,
            name,
            self._queue,
            terms,
            campaign.terms.data,
            numbers,
            campaign.engine,
        )
        args += (self._keys.campaign_index(name, ""), _BUCKETS)
        # A number that a lost reply has taken is missed by nobody.
        reply, *_ = yield from self._retrying.call(partial(self._called, self._record, keys, args, False))
        word, first, entries = reply
        self._check(name, word)
        return int(first), int(entries)

    def jobs(self, campaign: Stored, jobs: Sequence[Job], durable: Durable) -> Plan[Words]:
        """Write jobs in one step, and return enqueue.lua's word for each.

        Raises:
            OutboxUnavailable: the server didn't answer in time, or refuses.
            CampaignConflict: the campaign is another one, or over.
        """
        names, terms = self._keys, self._terms
        keys = (names.queues, names.scratch, names.campaign(campaign.name), names.queue(self._queue))
        args: list[Any] = [names.job_prefix, names.campaign_index(campaign.name, "")]
        args += (contract.CAMPAIGN_FIELD, contract.RECIPIENTS_FIELD, campaign.name, campaign.terms.hash)
        args += (utcformat(datetime.now(UTC)), contract.JOB_TIMEOUT, terms.result_ttl, terms.failure_ttl)
        args += (self._queue, names.wake(self._queue))
        for job in jobs:
            args += job.fields
        waits = durable.waits and any(job.data for job in jobs)
        attempt = partial(self._called, self._enqueue, keys, args, waits)
        job_ids = [job.job_id for job in jobs if job.job_id]
        beyond = self._longest if waits else 0.0
        reply, *told = yield from self._retrying.call(attempt, job_ids, beyond=beyond)
        if waits:
            durable.doubt = self._durability.doubt(told)
        words = [word.decode() if isinstance(word, bytes) else word for word in reply]
        self._check(campaign.name, words[0])
        return words[1:]

    def _check(self, name: str, word: str | bytes) -> None:
        word = word.decode() if isinstance(word, bytes) else word
        if word != "ok":
            raise CampaignConflict(name, _PROBLEMS[word])

    def _called(self, script: Source, keys: Any, args: Any, waits: bool, until: float) -> Plan[Sequence[Any]]:
        confirmed = self._durability.commands() if waits else ()
        command = ("EVALSHA", script.sha, len(keys), *keys, *args)
        replies = yield Exchange(self._line, (command, *confirmed), until, waits)
        if isinstance(replies[0], NoScriptError):
            [loaded] = yield Exchange(self._line, (("SCRIPT LOAD", script.text),), until)
            if isinstance(loaded, Exception):
                raise loaded
            replies = yield Exchange(self._line, (command, *confirmed), until, waits)
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies  # type: ignore[no-any-return]
