"""A stand-in for SES that answers as fast as Python can: no signature is checked, nothing is kept.

One asyncio process; with `--delay` every answer waits so many seconds. It prints `listening on PORT`, and on
SIGTERM one line of JSON: connections opened, requests answered, CPU seconds used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time

BODY = b'{"MessageId":"0100018f2b7c1e9a-3d2c1b0a-1234-4567-89ab-0123456789ab-000000"}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"x-amzn-RequestId: 7f0d2b0e-1111-4222-8333-444455556666\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)
REFUSAL = (
    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nx-amzn-ErrorType: %s\r\n"
    b"Content-Length: 18\r\n\r\n" + b'{"message":"busy"}'
)
COUNTS = {"connections": 0, "requests": 0}


class Connection(asyncio.Protocol):
    """Reads requests by their Content-Length and answers each."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        COUNTS["connections"] += 1

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while (head := buffer.find(b"\r\n\r\n")) >= 0:
            lower = buffer[:head].lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
            end = head + 4 + length
            if len(buffer) < end:
                break
            buffer = buffer[end:]
            COUNTS["requests"] += 1
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)
        self._buffer = buffer


async def serve(port: int, delay: float) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Connection(delay), "127.0.0.1", port, backlog=1024)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    print(json.dumps({**COUNTS, "cpu": time.process_time()}), flush=True)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--delay", type=float, default=0.0)
    given = options.parse_args()
    asyncio.run(serve(given.port, given.delay))
