"""Where the worker's HTTP server listens, as the setting says it: `127.0.0.1:9108`, `[::1]:9108`, `9108`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from rq_ses.text.invalid import shown

LOOPBACK: Final = "127.0.0.1"

_FORM: Final = re.compile(
    r"(?:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]{1,253})):)?(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True, slots=True)
class Listening:
    """A host and a port; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_listening(text: str) -> Listening:
    """Return where to listen; a port alone is one of loopback. Raises ValueError, with the remedy."""
    match = _FORM.fullmatch(text)
    if match and int(match["port"]) <= 65_535 and _is_host(match["v6"]):
        return Listening(match["v6"] or match["host"] or LOOPBACK, int(match["port"]))
    raise ValueError(
        f"{shown(text)} is not where to listen: give HOST:PORT, such as 127.0.0.1:9108 or 0.0.0.0:9108"
    )


def _is_host(address: str | None) -> bool:
    try:
        return address is None or ip_address(address).version == 6
    except ValueError:
        return False
