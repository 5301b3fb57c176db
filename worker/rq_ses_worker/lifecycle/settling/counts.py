"""What a worker has done since it was born, as RQ's tools and `rq-ses status` show it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from rq_ses_worker.lifecycle.keys import ScriptKeys
from rq_ses_worker.lifecycle.records import Action, Settlement, Word, ended

EVERY: Final = 0.5
"""Seconds after which a busy worker's counts are written again: with each batch they would cost too much."""

_WRITTEN: Final = frozenset({"done", "late", "accepted", "told"})


class Counts:
    """Counts settlements, and writes the counts now and then (count.lua).

    They are for show: that Redis refuses them, or is away, is no error, and they are written the next time.

    Args:
        script: as it is registered.
        keys: of the worker.
    """

    def __init__(self, script: Any, keys: ScriptKeys) -> None:
        self._script = script
        self._keys = keys
        self._sent = self._failed = self._retried = 0
        self._seconds = 0.0
        self._unwritten = False
        self._tried_at = 0.0

    def note(self, settlements: Sequence[Settlement], words: Sequence[Word]) -> None:
        """Count settlements by the words that were replied to them."""
        for one, word in zip(settlements, words, strict=True):
            self._seconds += one.seconds
            if word in _WRITTEN:
                self._count("sent" if word == "told" else one.action, one)
        self._unwritten = self._unwritten or bool(settlements)

    def _count(self, action: Action, one: Settlement) -> None:
        if one.bulk:
            entries = ended(one.bulk, one._replace(action=action))
            self._sent += entries["sent"]
            self._failed += entries["failed"]
            self._retried += entries["retry"]
        elif action == "sent":
            self._sent += 1
        elif action == "failed":
            self._failed += 1
        elif action == "retry":
            self._retried += 1

    def write(self, *, now: bool = True, again: bool = False) -> None:
        """Write what isn't written yet, `now` or if the last time is a while ago; or all of it `again`."""
        clock = time.monotonic()
        if not again and not (self._unwritten and (now or clock - self._tried_at >= EVERY)):
            return
        self._tried_at, self._unwritten = clock, False
        args = [self._sent, self._failed, self._retried, f"{self._seconds:.6f}"]
        shown = 0
        with suppress(RedisError):
            shown = self._script(keys=[self._keys.names.worker(self._keys.worker_name)], args=args)
        if not shown:
            self._unwritten = True
