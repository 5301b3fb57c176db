"""A stand-in for SES that answers as fast as Python can: no signature is checked, no mail is kept.

One process on one event loop (uvloop's where it is installed). With `--delay` every answer waits so many
seconds; with `--certificate` and `--key` it speaks TLS. A body that holds `bench-503-N` is refused with a 503
the first time, and how late it comes again is noted: 1 s later is on time. Of a SendBulkEmail only entries
that hold it are refused, by TRANSIENT_FAILURE. GetAccount tells of a rate and a quota that no stack reaches.

It prints `listening on PORT`, and on SIGTERM one line of JSON: connections opened (over TLS: handshakes
completed), requests answered, entries accepted (a SendEmail is one), CPU seconds used, and the lateness of
each retry in seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import ssl
import time
from collections.abc import Callable

MESSAGE_ID = b'"MessageId":"0100018f2b7c1e9a-3d2c1b0a-1234-4567-89ab-0123456789ab-000000"'
BULK = b"POST /v2/email/outbound-bulk-emails "
SUCCESS = b'{"Status":"SUCCESS",%s}' % MESSAGE_ID
BUSY = b'{"Status":"TRANSIENT_FAILURE","Error":"busy"}'


def ok(body: bytes) -> bytes:
    """Return the answer of a request that went well."""
    return (
        b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
        b"x-amzn-RequestId: 7f0d2b0e-1111-4222-8333-444455556666\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )


def bulk(results: list[bytes]) -> bytes:
    """Return the answer to a SendBulkEmail, a result for each of its entries."""
    return ok(b'{"BulkEmailEntryResults":[%s]}' % b",".join(results))


ANSWER = ok(b"{%s}" % MESSAGE_ID)
BULK_ANSWERS = {count: bulk([SUCCESS] * count) for count in range(51)}
ACCOUNT_BODY = (
    b'{"SendQuota":{"MaxSendRate":1000000,"Max24HourSend":10000000000,"SentLast24Hours":0},'
    b'"SendingEnabled":true,"ProductionAccessEnabled":true,"EnforcementStatus":"HEALTHY"}'
)
ACCOUNT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"x-amzn-RequestId: 7f0d2b0e-1111-4222-8333-444455556667\r\nContent-Length: %d\r\n\r\n%s"
    % (len(ACCOUNT_BODY), ACCOUNT_BODY)
)
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b'x-amzn-ErrorType: ServiceUnavailable\r\nContent-Length: 18\r\n\r\n{"message":"busy"}'
)
TOO_MANY = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
    b'x-amzn-ErrorType: BadRequestException\r\nContent-Length: 29\r\n\r\n{"message":"over 50 entries"}'
)
DELAY = 1.0
"""Seconds after which a client should try again."""

_MARK = re.compile(rb"bench-503-(\d+)")


class Standin:
    """What all connections share: the counts, and which mails were refused when."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.connections = 0
        self.requests = 0
        self.entries = 0
        self.lateness: list[float] = []
        self._refused: dict[bytes, float] = {}

    def answer(self, body: bytes) -> bytes:
        """Return the answer to a SendEmail."""
        self.requests += 1
        if not self._accepts(body):
            return REFUSAL
        self.entries += 1
        return ANSWER

    def bulk_answer(self, body: bytes) -> bytes:
        """Return the answer to a SendBulkEmail; it is taken apart only where an entry is marked."""
        self.requests += 1
        if b"bench-" not in body:
            count = body.count(b'"Destination"')  # within data its quotes would be escaped
            if count not in BULK_ANSWERS:
                return TOO_MANY
            self.entries += count
            return BULK_ANSWERS[count]
        entries = json.loads(body)["BulkEmailEntries"]
        results = [SUCCESS if self._accepts(json.dumps(entry).encode()) else BUSY for entry in entries]
        self.entries += results.count(SUCCESS)
        return bulk(results)

    def _accepts(self, body: bytes) -> bool:
        # Looking for plain bytes first: the expression alone would cost more than the rest.
        if b"bench-" not in body:
            return True
        mark = _MARK.search(body)
        if mark is None:
            return True
        now = time.monotonic()
        refused = self._refused.get(mark[1])
        if refused is None:
            self._refused[mark[1]] = now
            return False
        self.lateness.append(now - refused - DELAY)
        return True

    def report(self) -> str:
        """Return the counts as one line of JSON."""
        counts = {"connections": self.connections, "requests": self.requests, "entries": self.entries}
        return json.dumps({**counts, "cpu": time.process_time(), "lateness": self.lateness})


class Connection(asyncio.Protocol):
    """Reads requests by their Content-Length and answers each in turn."""

    def __init__(self, standin: Standin, later: Callable[..., object]) -> None:
        self._standin = standin
        self._later = later
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._standin.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        buffer = self._buffer + data if self._buffer else data
        while (head := buffer.find(b"\r\n\r\n")) >= 0:
            lower = buffer[:head].lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
            end = head + 4 + length
            if len(buffer) < end:
                break
            if b"expect:" in lower and length:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = buffer[head + 4 : end]
            if buffer.startswith(BULK):
                answer = self._standin.bulk_answer(body)
            else:
                answer = ACCOUNT if buffer.startswith(b"GET ") else self._standin.answer(body)
            buffer = buffer[end:]
            if self._standin.delay:
                self._later(self._standin.delay, self._write, answer)
            else:
                self._transport.write(answer)
        self._buffer = buffer

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(port: int, delay: float, context: ssl.SSLContext | None) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    standin = Standin(delay)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(
        lambda: Connection(standin, loop.call_later), "127.0.0.1", port, backlog=1024, ssl=context
    )
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    print(standin.report(), flush=True)


def main() -> None:
    """Serve as the command line says."""
    options = argparse.ArgumentParser(description="Answer SendEmail and SendBulkEmail as fast as possible.")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--delay", type=float, default=0.0, help="seconds each answer waits")
    options.add_argument("--certificate", help="PEM file; together with --key: TLS")
    options.add_argument("--key", help="PEM file")
    given = options.parse_args()
    context = None
    if given.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.certificate, given.key)
    serving = serve(given.port, given.delay, context)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


if __name__ == "__main__":
    main()
