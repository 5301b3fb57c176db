"""Plans the sending of a campaign: entries are drawn, judged, and written in jobs of up to fifty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rq_ses.campaign import bulkjob
from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.checking import Checker
from rq_ses.campaign.entry import Entry
from rq_ses.campaign.names import EntryIds
from rq_ses.errors import (
    DurabilityUnconfirmed,
    OutboxUnavailable,
    RqSesError,
    SendBulkInterrupted,
    UnusableEntry,
)
from rq_ses.outbox.bulk.filling import Filling, Job, Known, Numbers, Stored, known_entry
from rq_ses.outbox.bulk.writing import BulkWriting, Durable
from rq_ses.outbox.plans.steps import Await, Begin, DrawMany
from rq_ses.partition import partition_of
from rq_ses.plan import Plan
from rq_ses.receipt import CampaignReceipt
from rq_ses.text.invalid import shown
from rq_ses.tracing.spans import Tracing

_DRAWN = 250
"""Entries that are drawn at once."""


class BulkSending:
    """Plans the sending of campaigns through one Outbox.

    Args:
        writings: one for each partition, in order.
        queue: the name of the queue of bulk jobs.
        tracing: makes a span for each call; None makes none.
    """

    def __init__(self, writings: Sequence[BulkWriting], queue: str, tracing: Tracing | None = None) -> None:
        self._writings = tuple(writings)
        self._queue = queue
        self._tracing = tracing

    def send(self, campaign: Campaign, *, durable: bool) -> Plan[CampaignReceipt]:
        """Enqueue what is drawn, as Outbox.send_bulk does."""
        plan = self._send(checked_campaign(campaign), durable=durable)
        if self._tracing is None:
            return plan
        return self._tracing.sending(plan, self._queue, batch=True, campaign=campaign.name)

    def _send(self, campaign: Campaign, *, durable: bool) -> Plan[CampaignReceipt]:
        run = _Run(campaign, self._writings, Durable(wanted=durable))
        try:
            yield from run.begin()
            try:
                while drawn := (yield from _drawn()):
                    run.take(drawn)
                    yield from run.write_due()
                yield from run.write_rest()
            except Exception:
                # Where no more can be written it matters more what became of what is being written.
                yield from run.end_write()
                raise
            yield from run.end()
        except RqSesError as exc:
            exc.campaign = run.receipt
            if isinstance(exc, OutboxUnavailable):
                exc.add_note("of a campaign, call again with all entries: those that are enqueued are known")
            raise
        return run.receipt


def checked_campaign(campaign: Any) -> Campaign:
    """Return what was given as a campaign. Raises TypeError if it is none."""
    if not isinstance(campaign, Campaign):
        raise TypeError(f"campaign: {shown(campaign)} is no rq_ses.campaign.Campaign")
    return campaign


def _drawn() -> Plan[list[Any]]:
    try:
        drawn: list[Any] = yield DrawMany(_DRAWN)
    except RqSesError:
        raise
    except Exception as exc:
        raise SendBulkInterrupted(f"what gave the entries raised {type(exc).__name__}: {exc}") from exc
    return drawn


class _Run:
    """One call to send_bulk."""

    def __init__(self, campaign: Campaign, writings: Sequence[BulkWriting], durable: Durable) -> None:
        terms = bulkjob.encode_terms(campaign)
        self._expires = campaign.expires
        self._stored = Stored(campaign.name, terms, bulkjob.options_of(campaign), campaign.template.engine)
        self._writings = writings
        self._durable = durable
        self._checker = Checker(campaign)
        count = len(writings)
        self._fillings = [
            Filling(self._stored, Numbers(campaign.name, place, count)) for place in range(count)
        ]
        self._put = self._fillings[0].put if count == 1 else self._spread
        self._ids = EntryIds(campaign.name)
        self._number = 0
        self._begun: tuple[Filling, list[Job], Any] | None = None

    @property
    def receipt(self) -> CampaignReceipt:
        """Return what is certain so far."""
        enqueued = sum(filling.enqueued for filling in self._fillings)
        duplicates = sum(filling.duplicates for filling in self._fillings)
        return CampaignReceipt(self._stored.name, enqueued, duplicates, self._checker.unused)

    def begin(self) -> Plan[None]:
        """Write record and terms wherever entries may go. Raises ValueError if it is too late."""
        for writing in self._writings:
            if self._durable.waits:
                yield from writing.check_durability()
            if self._expires and self._expires.timestamp() <= (yield from writing.now()):
                raise ValueError(f"expires: {self._expires.isoformat()} is past: give a moment to come")
        for writing, filling in zip(self._writings, self._fillings, strict=True):
            first, entries = yield from writing.record("begin", self._stored, filling.numbers.range)
            filling.numbers.give(first)
            filling.asking = entries > 0

    def take(self, drawn: Sequence[Any]) -> None:
        """Judge entries and give each to its partition. Raises UnusableEntry."""
        ids, problem, put = self._ids, self._checker.problem, self._put
        for entry in drawn:
            self._number += 1
            if type(entry) is not Entry:
                raise UnusableEntry(self._number, "", f"{shown(entry)} is no rq_ses.campaign.Entry")
            if found := problem(entry):
                raise UnusableEntry(self._number, entry.to, found)
            put(known_entry(ids, entry))

    def _spread(self, known: Known) -> None:
        self._fillings[partition_of(known.entry.id, len(self._fillings))].put(known)

    def write_due(self) -> Plan[None]:
        """Write what is enough for a call. Raises what a call ends with."""
        for place, filling in enumerate(self._fillings):
            while filling.is_due():
                yield from self._write(place, last=False)

    def write_rest(self) -> Plan[None]:
        """Write all that is left. Raises what a call ends with."""
        # What is asked about may be new, and then is left after all.
        yield from self.end_write()
        while any(filling.is_left() for filling in self._fillings):
            for place, filling in enumerate(self._fillings):
                if filling.is_left():
                    yield from self._write(place, last=True)
            yield from self.end_write()

    def _write(self, place: int, *, last: bool) -> Plan[None]:
        """Take what came of the call before this one, and begin this one; it goes on beside the plan."""
        filling, writing = self._fillings[place], self._writings[place]
        jobs = filling.jobs(last=last)
        if jobs is None:
            first, _ = yield from writing.record("numbers", self._stored, filling.numbers.range)
            filling.numbers.give(first)
            return
        yield from self.end_write()
        begun = yield Begin(writing.jobs(self._stored, jobs, self._durable))
        self._begun = filling, jobs, begun

    def end_write(self) -> Plan[None]:
        """Take what came of the call that was begun, if there is one. Raises what it ends with."""
        if self._begun:
            (filling, jobs, begun), self._begun = self._begun, None
            filling.told(jobs, (yield Await(begun)))

    def end(self) -> Plan[None]:
        """Mark the end. Raises DurabilityUnconfirmed if what was enqueued isn't known to be durable."""
        for writing in self._writings:
            yield from writing.record("end", self._stored)
        if self._durable.doubt:
            raise DurabilityUnconfirmed((), self._durable.doubt)
