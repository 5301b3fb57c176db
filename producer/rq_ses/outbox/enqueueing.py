"""Writes entries to the server: batch by batch, each in one step, which is tried again until it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from rq_ses.keys import Keys, keys_of
from rq_ses.outbox.arguments import EnqueueArguments, Terms
from rq_ses.outbox.batching import batches, in_turn
from rq_ses.outbox.call import Call
from rq_ses.outbox.durability import Confirmation, Durability
from rq_ses.outbox.entry import Entry
from rq_ses.server.location import Location
from rq_ses.server.retrying import Retrying
from rq_ses.server.script import registered

BATCH_MESSAGES = 500
BATCH_BYTES = 4 * 1024 * 1024
"""Bounds of what one step writes."""

_SCRIPT: Final = "outbox/enqueue"
_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 5.0, 2.0
"""Seconds for one attempt, where the call has as many."""
_LARGE: Final = 1024 * 1024
"""Bytes of a batch that are too many to be written for nothing."""


class Enqueueing:
    """Calls enqueue.lua on one server. Threads may share it.

    Args:
        server: where it is.
        keys: under which it works; None: those of the client that was given, or the process's own.
        terms: what every call has.
        timeout: seconds for which a call is tried again.
        confirmation: what a durable call waits for.

    Raises:
        ValueError: the server's URL can't be read.
        TypeError: the client that was given isn't a redis.Redis of one server.
    """

    def __init__(
        self,
        server: Location,
        keys: Keys | None,
        terms: Terms,
        *,
        timeout: float,
        confirmation: Confirmation,
    ) -> None:
        # Trying again is ours, bounded by the timeout: redis-py's own retries would multiply it.
        command, connect = min(_SOCKET_TIMEOUT, timeout), min(_CONNECT_TIMEOUT, timeout)
        self.connection, waiting = (
            server.client(socket_timeout=seconds, connect_timeout=connect, keys=keys)
            for seconds in (command, command + confirmation.longest)
        )
        self.arguments = EnqueueArguments(keys_of(self.connection), terms)
        self._retrying = Retrying(self.connection, timeout)
        self._confirmation = confirmation
        self._script = registered(self.connection, _SCRIPT)
        self._durability = Durability(waiting, registered(waiting, _SCRIPT), confirmation)
        self._loaded = False

    def now(self, _: str = "") -> float:
        """Return the server's time (epoch seconds), whichever job it is for. Raises OutboxUnavailable."""
        return self._retrying.now()

    def check_durability(self) -> None:
        """Find out, once, what the server can confirm.

        Raises:
            OutboxUnavailable: it didn't answer in time, or refuses.
            DurabilityUnconfirmed: it can't confirm anything.
        """
        self._retrying.call(self._durability.check)

    def batches(self, entries: Iterable[Entry], call: Call) -> Iterator[tuple[list[Entry], list[str]]]:
        """Write entries in batches, and yield each batch with enqueue.lua's word for each of its entries.

        Raises what `batch` does, in the batch's turn, and what `entries` raises.
        """
        made = batches(entries, most=BATCH_MESSAGES, most_bytes=BATCH_BYTES)
        return in_turn(partial(self.batch, call=call), made, full=BATCH_MESSAGES)

    def batch(self, entries: Sequence[Entry], call: Call) -> list[str]:
        """Write entries in one step, and return enqueue.lua's word for each.

        Raises:
            OutboxUnavailable: the server didn't answer in time, or refuses.
            DurabilityUnconfirmed: the call is durable, and the server can't confirm anything.
        """
        args = self.arguments.of(entries, strict=call.strict)
        beyond = self._confirmation.longest if call.waits else 0.0
        large = sum(entry.size for entry in entries) > _LARGE
        attempt = partial(self._attempt, args, call, large=large)
        words = self._retrying.call(attempt, [entry.job_id for entry in entries], beyond=beyond)
        return [word.decode() if isinstance(word, bytes) else word for word in words]

    def _attempt(self, args: list[Any], call: Call, *, large: bool) -> list[Any]:
        if large and not self._loaded:
            # Else all of it would be written twice: the server reads it before it says that it has no script.
            self.connection.script_load(self._script.script)
        words = self._run(args, call)
        self._loaded = True
        return words

    def _run(self, args: list[Any], call: Call) -> list[Any]:
        if not call.waits:
            return list(self._script(keys=self.arguments.keys, args=args))
        self._durability.check()
        words, call.doubt = self._durability.call(self.arguments.keys, args)
        return words
