"""A response with the headers that keep a browser from doing more with it than showing it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The Content-Security-Policy of what isn't a page."""


@dataclass(frozen=True, slots=True)
class WebResponse:
    """Status, body and headers; `policy` is its Content-Security-Policy."""

    status: int
    body: bytes
    content_type: str
    policy: str = NOTHING
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """All headers."""
        return {
            "Content-Type": self.content_type,
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            # Not no-referrer: with that, browsers say "Origin: null" in our own forms.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            **self.more,
        }


def json_response(value: Any, status: int = 200) -> WebResponse:
    """Return `value` as a response."""
    return WebResponse(status, json.dumps(value).encode(), "application/json")
