"""The part of a URL that lists several servers: HOST:PORT,HOST:PORT."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

Address = tuple[str, int]
"""Host and port."""

_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:]+)(?::(?P<port>\d{1,5}))?")


def read_hosts(text: str, port: int) -> tuple[Address, ...]:
    """Return the servers that are listed; `port` is that of one without. Raises ValueError."""
    hosts = []
    for item in text.split(","):
        match = _HOST.fullmatch(item)
        number = int(match["port"] or port) if match else 0
        if not match or not 0 < number < 65536:
            raise ValueError("each server is HOST:PORT, separated by commas")
        hosts.append((unquote(match["host"]).strip("[]"), number))
    return tuple(hosts)
