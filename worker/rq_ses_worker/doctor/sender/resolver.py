"""Questions to the DNS, bounded in time."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from typing import Any, Final

import dns.exception
import dns.name
import dns.resolver

LOOKUP: Final = 3.0
"""Seconds for one question, over all name servers."""

_TEXT_LIMIT: Final = 4096


class DnsUnavailable(Exception):
    """Raised when the name servers don't answer; the text says which question they were asked."""


class Resolver:
    """A resolver that gives up after `seconds` in all.

    `nameserver` is HOST:PORT, the host an IP address; None takes the system's. Raises ValueError if it is
    neither, DnsUnavailable if the system has none.
    """

    def __init__(self, nameserver: str | None = None, *, seconds: float = 10.0) -> None:
        try:
            self._resolver = dns.resolver.Resolver(configure=nameserver is None)
        except dns.resolver.NoResolverConfiguration as exc:
            raise DnsUnavailable("this host has no name server (/etc/resolv.conf)") from exc
        if nameserver is not None:
            host, port = _address(nameserver)
            self._resolver.nameservers = [host]
            self._resolver.port = port
        self._resolver.timeout = LOOKUP / 2
        self._end = time.monotonic() + seconds

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the TXT records of a name, their pieces joined; none if there is no such name."""
        return tuple(
            b"".join(record.strings)[:_TEXT_LIMIT].decode("latin-1") for record in self._ask(name, "TXT")
        )

    def alias(self, name: str) -> str | None:
        """Return the name that a CNAME leads to, None if there is none."""
        found = self._ask(name, "CNAME")
        return _plain(found[0].target) if found else None

    def mail_servers(self, name: str) -> tuple[str, ...]:
        """Return the hosts of the MX records of a name."""
        return tuple(_plain(record.exchange) for record in self._ask(name, "MX"))

    def _ask(self, name: str, kind: str) -> Sequence[Any]:
        left = self._end - time.monotonic()
        if left <= 0:
            raise DnsUnavailable(f"the name servers took too long; not asked for {kind} of {name}")
        try:
            return list(
                self._resolver.resolve(
                    dns.name.from_text(name), kind, lifetime=min(LOOKUP, left), raise_on_no_answer=False
                ).rrset
                or ()
            )
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException as exc:
            reason = type(exc).__name__
            raise DnsUnavailable(f"no answer to {kind} of {name} ({reason})") from exc
        except OSError as exc:
            raise DnsUnavailable(
                f"no way to the name servers ({exc.strerror or type(exc).__name__})"
            ) from exc


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "53")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port) if port.isascii() and port.isdigit() else 0
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise ValueError(f"{text!r:.80} is no name server: give an IP address, or ADDRESS:PORT")
    return str(address), number
