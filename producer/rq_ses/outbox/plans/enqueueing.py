"""Plans how entries are written to one server, in one step, which is tried again until it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from redis.exceptions import NoScriptError

from rq_ses.errors import TRACKED
from rq_ses.keys import Keys
from rq_ses.outbox.arguments import EnqueueArguments, Terms
from rq_ses.outbox.call import Call
from rq_ses.outbox.entry import Entry
from rq_ses.outbox.plans.durability import Confirmation, Durability
from rq_ses.outbox.plans.retrying import Retrying
from rq_ses.outbox.plans.steps import Exchange, Line, Words, Write
from rq_ses.plan import Plan
from rq_ses.server.script import Source

Answer = TypeVar("Answer")

SCRIPT: Final = "outbox/enqueue"
_LARGE: Final = 1024 * 1024
"""Bytes of a batch that are too many to be written for nothing."""


class Enqueueing:
    """Calls enqueue.lua on one server. Threads may share it.

    Args:
        line: the way to the server.
        server: what tells it from others.
        keys: under which it works.
        terms: what every call has.
        timeout: seconds for which a call is tried again.
        confirmation: what a durable call waits for.
    """

    def __init__(
        self, line: Line, server: str, keys: Keys, terms: Terms, *, timeout: float, confirmation: Confirmation
    ) -> None:
        self.line = line
        self.keys = keys
        self.script = Source(SCRIPT)
        self._arguments = EnqueueArguments(keys, terms)
        self._retrying = Retrying(line, f"{keys.prefix} {server}", timeout)
        self._confirmation = confirmation
        self._durability = Durability(line, keys.durable, confirmation)
        self._loaded = False

    def now(self, _: str = "") -> Plan[float]:
        """Return the server's time (epoch seconds), whichever job it is for. Raises OutboxUnavailable."""
        return self._retrying.now()

    def asked(self, attempt: Callable[[float], Plan[Answer]]) -> Plan[Answer]:
        """Return what an attempt to learn of a mail returns at last, which may be repeated.

        Raises:
            OutboxUnavailable: the server didn't answer in time, or refuses.
        """
        return self._retrying.call(attempt, asked=TRACKED)

    def check_durability(self) -> Plan[None]:
        """Find out, once, what the server can confirm.

        Raises:
            OutboxUnavailable: it didn't answer in time, or refuses.
            DurabilityUnconfirmed: it can't confirm anything.
        """
        return self._retrying.call(self._durability.check)

    def batch(self, entries: Sequence[Entry], call: Call) -> Plan[Words]:
        """Write entries in one step, and return enqueue.lua's word for each.

        Raises:
            OutboxUnavailable: the server didn't answer in time, or refuses.
            DurabilityUnconfirmed: the call is durable, and the server can't confirm anything.
        """
        attempt = partial(self._attempt, entries, call)
        beyond = self._confirmation.longest if call.waits else 0.0
        words, doubt = yield from self._retrying.call(
            attempt, [entry.job_id for entry in entries], beyond=beyond
        )
        call.doubt = call.doubt or doubt
        return words

    def _attempt(self, entries: Sequence[Entry], call: Call, until: float) -> Plan[tuple[Words, str]]:
        if call.waits:
            yield from self._durability.check(until)
        # One alone is refused with its conflict, whatever is written at once with it.
        answer: tuple[Words, str] = yield Write(
            self, entries, strict=call.strict and len(entries) > 1, waits=call.waits, until=until
        )
        return answer

    def written(self, write: Write) -> Plan[tuple[Words, str]]:
        """Write entries, once; a durable Write needs a server that was checked.

        Raises:
            RedisError: it isn't known whether they are written; they may be written again by another call.
        """
        if not self._loaded and write.size > _LARGE:
            # Else all of it would be written twice: the server reads it before it says that it has no script.
            yield from self._load()
        reply, *told = yield from self._call(write)
        if isinstance(reply, NoScriptError):
            yield from self._load()
            reply, *told = yield from self._call(write)
        if isinstance(reply, Exception):
            raise reply
        self._loaded = True
        # One word for each, or one for all.
        each = reply if isinstance(reply, list) else [reply] * len(write.entries)
        words = [word.decode() if isinstance(word, bytes) else word for word in each]
        return words, self._durability.doubt(told) if write.waits else ""

    def _call(self, write: Write) -> Plan[Sequence[Any]]:
        keys, arguments = self._arguments.of(write.entries, strict=write.strict)
        script = ("EVALSHA", self.script.sha, len(keys), *keys, *arguments)
        # WAIT and WAITAOF speak of their connection's writes: so all goes at once, and anew as a whole.
        confirmed = self._durability.commands() if write.waits else ()
        replies: Sequence[Any] = yield Exchange(self.line, (script, *confirmed), waits=write.waits)
        return replies

    def _load(self) -> Plan[None]:
        [told] = yield Exchange(self.line, (("SCRIPT LOAD", self.script.text),))
        if isinstance(told, Exception):
            raise told
