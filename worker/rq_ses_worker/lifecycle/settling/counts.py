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
        self._counts: dict[str, float] = dict.fromkeys(("sent", "failed", "retry", "back", "seconds"), 0)
        self._unwritten = False
        self._tried_at = 0.0

    def note(self, settlements: Sequence[Settlement], words: Sequence[Word]) -> None:
        """Count settlements by the words that were replied to them."""
        counts = self._counts
        for one, word in zip(settlements, words, strict=True):
            counts["seconds"] += one.seconds
            if word not in _WRITTEN:
                continue
            action: Action = "sent" if word == "told" else one.action
            if one.bulk:
                for ending, entries in ended(one.bulk, one._replace(action=action)).items():
                    counts[ending] += entries
            else:
                counts[action] += 1
        self._unwritten = self._unwritten or bool(settlements)

    def write(self, *, now: bool) -> None:
        """Write what isn't written yet, `now` or if the last time is a while ago."""
        clock = time.monotonic()
        if not self._unwritten or not (now or clock - self._tried_at >= EVERY):
            return
        self._tried_at, counts = clock, self._counts
        args = [counts["sent"], counts["failed"], counts["retry"], f"{counts['seconds']:.6f}"]
        names = self._keys.names
        with suppress(RedisError):
            self._script(keys=[names.worker(self._keys.worker_name), names.scratch], args=args)
            self._counts, self._unwritten = dict.fromkeys(counts, 0), False
