"""A name server on loopback that knows a few records, for tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], tuple[str, ...]]
"""Answers by name and type, each as a zone file has it: ("_dmarc.example.com", "TXT"): ('"v=DMARC1; …"',)."""


@contextmanager
def nameserver(records: Records, *, silent: bool = False) -> Iterator[str]:
    """Answer questions until the block is left; yields HOST:PORT. A `silent` one never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(sock, records, silent), name="nameserver", daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", sock.getsockname())
            thread.join()


def _serve(sock: socket.socket, records: Records, silent: bool) -> None:
    while True:
        packet, client = sock.recvfrom(65_535)
        if not packet:
            return
        if not silent:
            sock.sendto(_answer(dns.message.from_wire(packet), records).to_wire(), client)


def _answer(query: dns.message.Message, records: Records) -> dns.message.Message:
    [question] = query.question
    name = question.name.to_text(omit_final_dot=True).lower()
    kind = dns.rdatatype.to_text(question.rdtype)
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.RA
    found = records.get((name, kind), ())
    if found:
        answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *found))
    elif name not in {known for known, _ in records}:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
