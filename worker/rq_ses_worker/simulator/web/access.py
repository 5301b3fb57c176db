"""Who may look at what the simulator recorded, and who may change it.

Mails are private, and the page stands on a port that every web page in the developer's browser can send
requests to. So reading needs a Host header that no other site's name can be in (DNS rebinding), and changing
needs a request that no other site can have made (CSRF).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")


def may_look(peer: str, hosts: Sequence[str], allowed: Collection[str]) -> bool:
    """Tell whether a request is served: `peer` is its address, `hosts` are its Host headers.

    Loopback peers are served under loopback names. `allowed` holds more names; with any of them other
    machines are served, too, under those names or a loopback name (a container's published port arrives so).
    """
    if len(hosts) != 1:
        return False
    name = _hostname(hosts[0])
    if not (_is_loopback_name(name) or name in allowed):
        return False
    return bool(allowed) or is_loopback(peer)


def may_change(headers: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a request with these headers (names in lower case) wasn't caused by another site's page.

    Browsers say where a request comes from (Sec-Fetch-Site, and Origin with everything but GET); what says
    neither is no browser.
    """
    sites, origins, hosts = (headers.get(name, ()) for name in ("sec-fetch-site", "origin", "host"))
    if any(site != "same-origin" for site in sites):
        return False
    return all(_netloc(origin) in {host.lower() for host in hosts} for origin in origins)


def host_name(text: str) -> str:
    """Return the name or address to allow, in lower case. Raises ValueError when it is none."""
    name = text.strip().lower().removesuffix(".").strip("[]")
    if not _NAME.fullmatch(name):
        try:
            ipaddress.ip_address(name)
        except ValueError as exc:
            raise ValueError(
                f"{text!r} is not a host name: give it without scheme and port, e.g. simulator"
            ) from exc
    return name


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own; a name isn't one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def _netloc(origin: str) -> str | None:
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") else None


def _hostname(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower().removesuffix(".") if match else ""


def _is_loopback_name(name: str) -> bool:
    return name == "localhost" or is_loopback(name)
