"""A request for the page or the JSON, taken apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class WebRequest:
    """One request for the page or the JSON; header names are in lower case, `target` is path and query."""

    method: str
    target: bytes
    headers: Mapping[str, Sequence[str]]
    peer: str
    body: bytes = b""
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        path, _, query = self.target.decode("latin-1").partition("?")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "query", dict(parse_qsl(query)))

    def json(self) -> Any:
        """Return what the body says as JSON. Raises WebError."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise WebError(400, "the body is not JSON") from exc


def whole_number(text: str) -> int | None:
    """Return the number that `text` writes in up to 18 digits and nothing else, None if it doesn't."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


class WebError(Exception):
    """Raised when such a request can't be served; `status` is HTTP's."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)
