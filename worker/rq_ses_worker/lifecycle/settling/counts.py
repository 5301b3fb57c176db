"""What a worker has done since it was born, as RQ's tools and `rq-ses status` show it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from rq_ses_worker.lifecycle.keys import ScriptKeys
from rq_ses_worker.lifecycle.records import Action, Settlement, Word, ended
from rq_ses_worker.server.errand import Errand
from rq_ses_worker.server.scripts import Call

EVERY: Final = 0.5
"""Seconds after which a busy worker's counts are written again: with each batch they would cost too much."""

_WRITTEN: Final = frozenset({"done", "late", "accepted", "told"})


class Counts:
    """Counts settlements, and writes the counts now and then (count.lua); any thread may use it.

    They are for show: that Redis refuses them, or is away, is no error, and they are written the next time.

    Args:
        script: as it is registered.
        keys: of the worker.
    """

    def __init__(self, script: Any, keys: ScriptKeys) -> None:
        self._script = script
        self._keys = keys
        self._counts: dict[str, int] = dict.fromkeys(("sent", "failed", "retry", "back", "µs"), 0)
        self._shown = dict(self._counts)
        """What is certain to be written: a reply that is lost says nothing."""
        self._counting = threading.Lock()
        self._tried_at = 0.0

    def note(self, settlements: Sequence[Settlement], words: Sequence[Word]) -> None:
        """Count settlements by the words that were replied to them."""
        counts = self._counts
        with self._counting:
            for one, word in zip(settlements, words, strict=True):
                counts["µs"] += round(one.seconds * 1e6)
                if word not in _WRITTEN:
                    continue
                action: Action = "sent" if word == "told" else one.action
                if one.bulk:
                    for ending, entries in ended(one.bulk, one._replace(action=action)).items():
                        counts[ending] += entries
                else:
                    counts[action] += 1

    def due(self, *, now: bool = False) -> list[Errand[None]]:
        """Return what writes the counts, if there are any, and that is due or to be done `now`."""
        with self._counting:
            if self._left(now=now) != 0:
                return []
            self._tried_at, counts = time.monotonic(), dict(self._counts)
        args = [counts["sent"], counts["failed"], counts["retry"], f"{counts['µs'] / 1e6:.6f}"]

        def read(replies: Sequence[Any]) -> None:
            if not isinstance(replies[0], Exception):
                self._shown = counts

        names = self._keys.names
        keys = [names.worker(self._keys.worker_name), names.scratch]
        return [Errand([Call(self._script, keys, args)], read)]

    def write(self, connection: Any, *, now: bool) -> float | None:
        """Write what is due; return the seconds until something is (None: all is written)."""
        for errand in self.due(now=now):
            with suppress(RedisError):
                errand.run(connection)
        return self._left()

    def _left(self, *, now: bool = False) -> float | None:
        if self._counts == self._shown:
            return None
        return 0.0 if now else max(0.0, self._tried_at + EVERY - time.monotonic())
