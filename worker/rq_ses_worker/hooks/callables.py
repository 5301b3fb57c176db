"""Python callables that other packages offer, in the entry-point group `rq_ses.on_outcome`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from rq_ses.outcomes.outcome import Outcome
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)

GROUP: Final = "rq_ses.on_outcome"


def offered() -> list[EntryPoint]:
    """Return the entry points there are, by name."""
    return sorted(entry_points(group=GROUP), key=lambda one: one.name)


class Callables:
    """Calls what an entry point names with each outcome; an exception says that it wasn't taken."""

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry
        self._callable: Callable[[Outcome], object] | None = None

    def __call__(self, outcomes: Sequence[Outcome]) -> None:
        """Call it. Raises whatever it raises, or what loading it raises."""
        if self._callable is None:
            self._callable = self._entry.load()
            events.HOOK_LOADED.log(log, name=self._entry.name, target=self._entry.value)
        for outcome in outcomes:
            self._call(self._callable, outcome)

    def _call(self, function: Callable[[Outcome], object], outcome: Outcome) -> None:
        try:
            function(outcome)
        except Exception:
            raise
        except BaseException as exc:
            # SystemExit, or a time-out of gevent's: the thread would end in silence, and tell no more.
            raise RuntimeError(f"{self._entry.name} raised {type(exc).__name__}") from exc
