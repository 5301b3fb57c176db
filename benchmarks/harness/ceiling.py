"""How much the stand-in could answer: the proof that it is never the bottleneck.

    python -m benchmarks.harness.ceiling PORT SECONDS

asks over 32 connections, one request after another on each, without building or reading anything a request
needs: what is measured is the stand-in. It prints the number of answers.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.mails import request
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Standin, pinned
from benchmarks.harness.standin import ANSWER

_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the stand-in answered, and at what cost."""

    rate: float
    """Answers a second, as far as the asking side went."""
    cpu_us: float
    """CPU microseconds an answer: a core's worth of the stand-in is 1e6 / cpu_us answers a second."""


def measure_ceiling(seconds: float) -> Ceiling:
    """Ask a fresh stand-in for so long."""
    standin = Standin()
    try:
        before = standin.cpu
        with pinned({cores()[0]}):
            asked = subprocess.run(
                [sys.executable, "-m", "benchmarks.harness.ceiling", str(standin.port), str(seconds)],
                capture_output=True, text=True, check=True, timeout=seconds + 30,
                cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
        cpu = standin.cpu - before
        answers = int(asked.stdout)
        standin.stop()
    finally:
        standin.kill()
    return Ceiling(answers / seconds, cpu * 1e6 / answers)


def ask(port: int, seconds: float) -> int:
    """Return the number of answers within so many seconds."""
    body = json.dumps(request(0)).encode()
    head = (
        f"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    asking = head.encode() + body
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS)]
    answers = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for connection in sockets:
            connection.sendall(asking)
        for connection in sockets:
            left = len(ANSWER)
            while left:
                left -= len(connection.recv(left))
            answers += 1
    for connection in sockets:
        connection.close()
    return answers


if __name__ == "__main__":
    print(ask(int(sys.argv[1]), float(sys.argv[2])))
