"""A request to the console, taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the console; header names are in lower case, `target` is the path with its query."""

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


class Unfit(Exception):
    """Raised when a request to the console can't be served; `status` says why, in HTTP's words."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)
