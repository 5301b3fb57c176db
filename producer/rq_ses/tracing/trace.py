"""Where a mail comes from, as it travels among its job's options.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

LONGEST: Final = 512
"""Characters of either, which W3C lets a receiver ask for at least."""


class Trace(NamedTuple):
    """Where a mail comes from, as W3C's Trace Context writes it; it travels among the job's options."""

    traceparent: str
    tracestate: str = ""

    @classmethod
    def taken(cls, options: dict[str, Any]) -> Trace | None:
        """Take it out of a job's options; what can't be used is no reason to refuse a mail."""
        parent, state = options.pop(TRACEPARENT, None), options.pop(TRACESTATE, None)
        if not isinstance(parent, str) or len(parent) > LONGEST:
            return None
        return cls(parent, state if isinstance(state, str) and len(state) <= LONGEST else "")

    def carrier(self) -> dict[str, str]:
        """Return it as propagators, and a job's options, have it."""
        found = {TRACEPARENT: self.traceparent}
        if self.tracestate:
            found[TRACESTATE] = self.tracestate
        return found
