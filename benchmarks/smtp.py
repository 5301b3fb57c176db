"""How many mails the SMTP ingress takes, beside aiosmtpd with a handler that does nothing.

    python -m benchmarks.smtp [--rounds 7] [--mails 4800] [--clients 16]

README.md says how it is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.builds.pairs import Round, alternate, table
from benchmarks.harness.build import ROOT
from benchmarks.harness.processtree import cores, cpu_seconds, pin
from benchmarks.harness.services import Store, store

NAMES = ("aiosmtpd, empty handler", "rq-ses smtp")
_LINE = b"Two kilobytes of lines, as a shop writes them to those who have ordered.\r\n"
_PATIENCE = 30.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.smtp", description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--mails", type=int, default=4800, help="of a round")
    options.add_argument("--clients", type=int, default=16)
    given = options.parse_args(arguments)
    if given.rounds < 1 or given.clients < 1 or given.mails < given.clients:
        options.error("give 1 round, 1 client, and a mail for each client at least")
    others, ours = cores()
    os.sched_setaffinity(0, {others})
    with tempfile.TemporaryDirectory(prefix="bench-") as name, store(Path(name)) as redis:
        empty = [sys.executable, "-m", "benchmarks.peers.empty_smtp", "2501"]
        ingress = [sys.executable, "-m", "rq_ses", "smtp", "--listen", "2502", "--log-level", "warning"]
        with _serving(empty, 2501, redis, ours) as one, _serving(ingress, 2502, redis, ours) as two:
            servers = ((one, 2501), (two, 2502))
            contestants = [
                partial(_measure, pid, port, redis, given.mails, given.clients) for pid, port in servers
            ]
            for contestant in contestants:  # fills caches, and isn't counted
                contestant()
            rounds = alternate(contestants, given.rounds, title="smtp")
    print(table(f"{given.clients} clients", NAMES, rounds))


@contextmanager
def _serving(command: Sequence[str], port: int, redis: Store, core: int) -> Iterator[int]:
    """Run a server on a core of its own until the block is left; yield its process id once it greets."""
    env = {**os.environ, "RQ_SES_REDIS_URL": redis.url}
    process = subprocess.Popen(command, cwd=ROOT, env=env)
    try:
        end = time.monotonic() + _PATIENCE
        while not _greets(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{' '.join(command)} doesn't serve on {port}")
            time.sleep(0.05)
        pin(process.pid, {core})
        yield process.pid
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _greets(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            return client.noop()[0] == 250
    except OSError:
        return False


def _measure(pid: int, port: int, redis: Store, mails: int, clients: int) -> Round:
    redis.connection.flushall()
    cpu, began = cpu_seconds(pid), time.perf_counter()
    asyncio.run(_load(port, mails, clients))
    wall, cpu = time.perf_counter() - began, cpu_seconds(pid) - cpu
    return {"mails/s": mails / wall, "CPU, µs a mail": cpu / mails * 1e6, "mails a CPU second": mails / cpu}


async def _load(port: int, mails: int, clients: int) -> None:
    """Send so many mails of 2 KB over a connection for each client, one after another on each."""
    await asyncio.gather(*(_client(port, range(first, mails, clients)) for first in range(clients)))


async def _client(port: int, numbers: range) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say(words: bytes, code: bytes) -> None:
        writer.write(words)
        while (line := await reader.readline())[3:4] == b"-":
            pass
        if not line.startswith(code):
            raise RuntimeError(f"answered {line!r}")

    await say(b"", b"220")
    await say(b"EHLO bench\r\n", b"250")
    for number in numbers:
        await say(b"MAIL FROM:<shop@example.com>\r\n", b"250")
        await say(b"RCPT TO:<reader-%d@example.org>\r\n" % number, b"250")
        await say(b"DATA\r\n", b"354")
        head = (
            b"From: Shop <shop@example.com>\r\nTo: reader-%d@example.org\r\nSubject: Your order\r\n" % number
        )
        more = b"Date: Sun, 31 May 2026 09:00:00 +0000\r\nMessage-ID: <%d.%d@example.com>\r\n\r\n" % (
            port,
            number,
        )
        await say(head + more + 25 * _LINE + b".\r\n", b"250")
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    main()
