"""No queue at all: threads that send mails which stand in memory. What a queue is measured against.

    python -m benchmarks.peers.bare requests|urllib3

Each number that is pushed to `bench:bare` asks for so many mails; `bench:bare:done` counts those sent.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from redis import Redis

from benchmarks.harness.mails import POOL, request
from benchmarks.peers import signed

SENDERS: dict[str, Callable[[dict[str, Any]], int]] = {
    "requests": signed.by_requests,
    "urllib3": signed.by_urllib3,
}


def main(kind: str) -> None:
    """Send as many mails as is asked for, for ever."""
    redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
    work: SimpleQueue[dict[str, Any]] = SimpleQueue()
    done: SimpleQueue[int] = SimpleQueue()

    def run() -> None:
        while True:
            done.put(sum(SENDERS[kind](mail) == 200 for mail in work.get()["mails"]))

    threads = int(os.environ["BENCH_THREADS"])
    for _ in range(threads):
        threading.Thread(target=run, daemon=True).start()
    mails = [request(number) for number in range(POOL)]
    while True:
        found: Any = redis.blpop(["bench:bare"])
        count = int(found[1])
        shares = [count // threads + (number < count % threads) for number in range(threads)]
        for share in shares:
            work.put({"mails": (mails[number % POOL] for number in range(share))})
        redis.incrby("bench:bare:done", sum(done.get() for _ in shares))


if __name__ == "__main__":
    main(sys.argv[1])
