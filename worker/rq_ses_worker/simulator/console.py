"""What the simulator shows of its records: JSON for processes on the same machine, nothing to others."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from rq_ses_worker.simulator.service import Service

PREFIX: Final = b"/_simulator"

_HOST: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]*)?")

Result = tuple[int, bytes]


def is_console(path: bytes) -> bool:
    return path == PREFIX or path.startswith(PREFIX + b"/")


def respond(service: Service, method: str, target: bytes, peer: str, hosts: Sequence[str]) -> Result:
    """Return status and JSON body for a request below `/_simulator`.

    Only loopback peers are served, and only under a loopback name in `hosts` (the values of the Host
    header): a page whose DNS name was turned to 127.0.0.1 doesn't get to read mail.
    """
    if not _is_loopback(peer) or len(hosts) != 1 or not _is_loopback_name(_hostname(hosts[0])):
        return _json(403, {"error": "served to this machine alone, as 127.0.0.1, [::1] or localhost"})
    path, _, query = target.partition(b"?")
    if method == "DELETE" and path == PREFIX:
        service.clear()
        return _json(200, {})
    known = {
        PREFIX + b"/requests": lambda: {
            "requests": [r.as_dict() for r in service.inbox.requests(_after(query))]
        },
        PREFIX + b"/mails": lambda: {"mails": [m.as_dict() for m in service.inbox.mails(_after(query))]},
        PREFIX + b"/stats": service.inbox.stats,
    }
    show = known.get(path)
    if show is None:
        return _json(404, {"error": "GET /_simulator/requests, /mails or /stats; DELETE /_simulator"})
    if method != "GET":
        return _json(405, {"error": "GET only"})
    try:
        return _json(200, show())
    except ValueError:
        return _json(400, {"error": "after: not a whole number"})


def _after(query: bytes) -> int:
    return int(parse_qs(query.decode("latin-1")).get("after", ["0"])[-1])


def _json(status: int, value: Any) -> Result:
    return status, json.dumps(value).encode()


def _hostname(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match[1].strip("[]") if match else ""


def _is_loopback_name(name: str) -> bool:
    return name.lower().removesuffix(".") == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback
