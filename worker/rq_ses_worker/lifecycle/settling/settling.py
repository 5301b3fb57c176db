"""What is written of settlements: the calls of settle.lua and split.lua, and of index.lua behind them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from rq_ses import contract
from rq_ses.text.plaintext import one_line
from rq_ses_worker.lifecycle.bulk.dividing import Dividing
from rq_ses_worker.lifecycle.codec import NOBODY, encode_settlements, read_settled
from rq_ses_worker.lifecycle.keys import ScriptKeys
from rq_ses_worker.lifecycle.records import Division, Settlement, Word
from rq_ses_worker.lifecycle.settling.counts import Counts
from rq_ses_worker.logging import events
from rq_ses_worker.server.errand import Errand, calls_of, shares
from rq_ses_worker.server.scripts import Call
from rq_ses_worker.ses.outcome import Sent

log = logging.getLogger(__name__)


class Settling:
    """Makes the calls that write settlements; whoever has it runs them.

    Args:
        scripts: as they are registered, by name.
        keys: of a worker.
        queues: their names, by the leases' places.
        dividing: of the same worker.
    """

    def __init__(
        self, scripts: Mapping[str, Any], keys: ScriptKeys, queues: Sequence[str], dividing: Dividing
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._queues = tuple(queues)
        self._dividing = dividing
        self.counts = Counts(scripts["count"], keys)
        self._told: tuple[Any, Any] = ("", "")
        self._indexes = False

    def tell_outcomes(self, most: int) -> None:
        """Write each mail's end into the stream of outcomes from here on, which holds so many at most."""
        self._told = (self._keys.names.outcomes, most)

    def index_messages(self) -> None:
        """Keep from here on which mail each of SES's MessageIds is, for events that carry no tags."""
        self._indexes = True

    def errand(
        self, settlements: Sequence[Settlement], clock: float, beside: Sequence[Errand[None]]
    ) -> Errand[list[Word]]:
        """Return what writes settlements, and what is done `beside`; `clock` is time.monotonic() now.

        A bulk job that is divided comes alone.
        """
        call, order = self._call(settlements, clock)
        errands = [*beside, *self.counts.due()]

        def read(replies: Sequence[Any]) -> list[Word]:
            if isinstance(replies[0], Exception):
                raise replies[0]
            for errand, own in zip(errands, shares(errands, replies[1:]), strict=True):
                errand.read(own)
            self._index(settlements)
            words = read_settled(replies[0], order)
            self.counts.note(settlements, words)
            return words

        return Errand([call, *calls_of(errands)], read)

    def _call(self, settlements: Sequence[Settlement], clock: float) -> tuple[Call, list[int]]:
        """Return the call that writes them, and which of them each word of its reply is about."""
        if len(settlements) == 1 and (division := _division(settlements[0])):
            return self._split(settlements[0], division, clock), [0]
        encoded = encode_settlements(settlements, clock, self._tell if self._told[0] else None)
        args = [self._keys.names.root, self._keys.worker_name, *self._told, *encoded.args]
        return Call(self._scripts["settle"], self._keys.settle(encoded.queues), args), encoded.order

    def _tell(self, one: Settlement) -> str:
        from rq_ses_worker.lifecycle.settling.outcomes import outcome_text  # most workers tell nobody

        return outcome_text(one, self._queues)

    def _split(self, one: Settlement, division: Division, clock: float) -> Call:
        stream, most = self._told
        told = NOBODY
        if stream:
            from rq_ses_worker.lifecycle.settling.outcomes import division_text

            told = (stream, most, division_text(one, self._queues))
        return self._dividing.settlement(one, division, clock, told)

    def _index(self, settlements: Sequence[Settlement]) -> None:
        """Keep which mails their MessageIds are, if that is wanted; never raises RedisError."""
        if not self._indexes:
            return
        pairs = [
            text
            for one in settlements
            if isinstance(one.outcome, Sent) and not _division(one)
            if (message_id := one_line(one.outcome.message_id or "", 120))
            for text in (message_id, one.lease.job_id)
        ]
        names = self._keys.names
        args = [names.message(""), contract.FEEDBACK_TTL, *pairs]
        try:
            if pairs:
                self._scripts["index"](keys=[names.scratch], args=args)
        except RedisError as exc:
            # The outcomes are written: saying them again for this would only make them look late.
            events.MESSAGES_UNINDEXED.log(log, error=str(exc))


def _division(one: Settlement) -> Division | None:
    return one.bulk.division if one.bulk else None
