"""How much of an account's send rate workers use together, and how often SES says that it was too fast.

    python -m benchmarks.sharing [--rates 14 100 400] [--partitions 1 4] [--seconds 20]

A worker of four processes, each of 8 threads, and a stand-in for SES that keeps to the rate: on one queue,
whose claims ask the account's gate in their own step, and on partitions, to whose workers it grants tokens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.mails import message
from benchmarks.harness.services import Program, Store, store
from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer

PROCESSES, THREADS = 4, 8
WARM = 2.0
"""Seconds after the first answer that aren't counted: the account's limits have to be asked for."""

_KEY = ("AKIDOFTHETESTS", "secret/of+the/tests/0123456789abcdefghij")


class Use(NamedTuple):
    """What became of the rate."""

    share: float
    """Of what the account allowed in the seconds that count: accepted."""
    too_fast: float
    """Share of all requests that were answered by 429."""
    requests: int

    def __str__(self) -> str:
        return (
            f"{self.share:6.1%} of the rate used, {self.too_fast:6.2%} of {self.requests:,} requests too fast"
        )


def measure_use(redis: Store, directory: Path, rate: float, partitions: int, seconds: float) -> Use:
    """Send for some seconds; 1 partition is a queue without any."""
    redis.connection.flushall()
    prefixes = [f"{{mail{n}}}" for n in range(partitions)] if partitions > 1 else []
    count = int(rate * (seconds + 2 * WARM))
    Outbox(redis.url, partitions=prefixes).send_many(map(message, range(count)))
    with SimulatorServer(*_KEY, rate=rate, keep=count + 1000) as ses:
        variables = {
            "RQ_SES_REDIS_URL": redis.url,
            "RQ_SES_PARTITIONS": ",".join(prefixes),
            "RQ_SES_BASE_URL": ses.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _KEY[0],
            "AWS_SECRET_ACCESS_KEY": _KEY[1],
        }
        options = ["worker", "--processes", str(PROCESSES), "--concurrency", str(THREADS)]
        command = [sys.executable, "-m", "rq_ses", *options]
        program = Program(command, variables, {0, 1}, directory / "log")
        try:
            while not ses.mails:
                program.check()
                time.sleep(0.05)
            time.sleep(WARM + seconds)
        finally:
            program.stop()
        first = ses.mails[0].at + WARM
        accepted = sum(first <= mail.at < first + seconds for mail in ses.mails)
        attempts = ses.attempts
        too_fast = sum(request.status == 429 for request in attempts)
    return Use(accepted / (rate * seconds), too_fast / len(attempts), len(attempts))


def main() -> None:
    """Measure what the command line asks for, and print it."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__.split("\n")[0])
    options.add_argument("--rates", nargs="+", type=float, default=[14, 100, 400], metavar="N")
    options.add_argument("--partitions", nargs="+", type=int, default=[1, 4], metavar="N")
    options.add_argument("--seconds", type=float, default=20)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, store(Path(name) / "valkey") as redis:
        for rate in given.rates:
            for partitions in given.partitions:
                use = measure_use(redis, Path(name), rate, partitions, given.seconds)
                print(f"{rate:6g}/s, {partitions} partition{'s' * (partitions > 1):1}: {use}", flush=True)


if __name__ == "__main__":
    main()
