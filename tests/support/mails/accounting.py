"""Account for every mail of a test: where it stands in Redis, and how often SES took it."""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from rq_ses import Outbox, contract
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import mail

PLACES = {
    "queued": KEYS.queue,
    "scheduled": lambda queue: KEYS.registry("scheduled", queue),
    "started": lambda queue: KEYS.registry("wip", queue),
    "finished": lambda queue: KEYS.registry("finished", queue),
    "failed": lambda queue: KEYS.registry("failed", queue),
    "canceled": lambda queue: KEYS.registry("canceled", queue),
}
"""The key in which a job of a status has its place."""


@dataclass
class Books:
    """One consistent look at Redis, and what SES had accepted by then."""

    statuses: dict[str, str]
    workers: dict[str, str]
    ttls: dict[str, int]
    reasons: dict[str, str]
    places: dict[str, list[str]]
    leases: dict[str, list[str]]
    receipts: dict[str, str | None]
    accepted: dict[str, list[str]]
    problems: list[str] = field(default_factory=list)

    def having(self, *statuses: str) -> set[str]:
        """Return the mails that stand in one of `statuses`."""
        return {job_id for job_id, status in self.statuses.items() if status in statuses}

    @property
    def doubled(self) -> set[str]:
        """The mails that SES took more than once."""
        return {job_id for job_id, ids in self.accepted.items() if len(ids) > 1}

    @property
    def second_sends(self) -> int:
        return sum(len(ids) - 1 for ids in self.accepted.values() if ids)

    def __str__(self) -> str:
        counts = Counter(self.statuses.values())
        return f"{dict(counts)}, {self.second_sends} second sends"


class Accounting:
    """The mails of one test, each to an address of its own."""

    def __init__(self, redis: Redis, ses: SimulatorServer, queue: str = contract.DEFAULT_QUEUE) -> None:
        self.addresses: dict[str, str] = {}
        self._redis: Any = redis
        self._ses = ses
        self._queue = queue
        self._count = 0

    def enqueue(self, outbox: Outbox, count: int, story: str = "slow-0.05", **options: Any) -> list[str]:
        """Enqueue `count` mails that live through `story` (see the simulator's faults)."""
        addresses = [self.address(story) for _ in range(count)]
        receipts = outbox.send_many([mail(address, **options) for address in addresses])
        for receipt, address in zip(receipts, addresses, strict=True):
            self.add(receipt.job_id, address)
        return [receipt.job_id for receipt in receipts]

    def address(self, story: str) -> str:
        """Return an address that no other mail of this test has."""
        self._count += 1
        return f"{story}.n{self._count}@faults.example"

    def add(self, job_id: str, address: str) -> None:
        """Enter a mail that was enqueued, or may have been."""
        self.addresses[job_id] = address

    def ended(self, job_ids: Iterable[str] | None = None) -> bool:
        """Tell whether all mails are finished or failed."""
        ids = list(self.addresses if job_ids is None else job_ids)
        with self._redis.pipeline() as pipe:
            for job_id in ids:
                pipe.hget(KEYS.job(job_id), "status")
            return set(pipe.execute()) <= {b"finished", b"failed"}

    def held_by(self, worker: str) -> set[str]:
        """Return the mails a worker has started and not settled."""
        books = self.read()
        return {job_id for job_id in books.having("started") if books.workers[job_id] == worker}

    def read(self) -> Books:
        """Look at everything in one step, and note every mail that doesn't stand in exactly one place."""
        ids = list(self.addresses)
        with self._redis.pipeline(transaction=True) as pipe:
            for job_id in ids:
                key = KEYS.job(job_id)
                pipe.hmget(key, "status", "worker_name", "exc_info").ttl(key)
                pipe.xrevrange(f"{KEYS.root}results:{job_id}", count=1)
            for status, key_of in PLACES.items():
                key = key_of(self._queue)
                if status == "queued":
                    pipe.lrange(key, 0, -1)
                else:
                    pipe.zrange(key, 0, -1)
            pipe.zrange(KEYS.leases(self._queue), 0, -1)
            replies = pipe.execute()
        jobs, (*members, leases) = replies[: 3 * len(ids)], replies[3 * len(ids) :]
        places: dict[str, list[str]] = defaultdict(list)
        for status, ids_there in zip(PLACES, members, strict=True):
            for member in ids_there:
                places[_text(member).partition(":")[0]].append(status)
        leased: dict[str, list[str]] = defaultdict(list)
        for member in leases:
            job_id, _, execution = _text(member).partition(":")
            leased[job_id].append(execution)
        books = Books({}, {}, {}, {}, dict(places), dict(leased), {}, self._accepted())
        for at, job_id in enumerate(ids):
            (status, worker, reason), ttl, results = jobs[3 * at : 3 * at + 3]
            books.statuses[job_id] = status.decode() if status else "gone"
            books.workers[job_id] = _text(worker or b"")
            books.reasons[job_id] = _text(reason or b"")
            books.ttls[job_id] = ttl
            books.receipts[job_id] = _message_id(results)
        books.problems = [problem for job_id in ids for problem in self._problems(books, job_id)]
        return books

    def check(self) -> Books:
        """Return the books, all mails being in order.

        Raises:
            AssertionError: a mail is missing, in two places, or its place and status differ.
        """
        books = self.read()
        assert not books.problems, "\n".join(books.problems[:20])
        print(f"{len(self.addresses)} mails: {books}")  # noqa: T201 (pytest shows it with a failure)
        return books

    def _accepted(self) -> dict[str, list[str]]:
        by_address: dict[str, list[str]] = defaultdict(list)
        for accepted in self._ses.mails:
            for address in accepted.recipients:
                by_address[address].append(accepted.message_id)
        return {job_id: by_address.get(address, []) for job_id, address in self.addresses.items()}

    def _problems(self, books: Books, job_id: str) -> list[str]:
        status, places = books.statuses[job_id], books.places.get(job_id, [])
        leases, accepted = books.leases.get(job_id, []), books.accepted[job_id]
        where = f"{job_id} {self.addresses[job_id]}: {status}"
        problems = []
        if places != [status]:
            problems.append(f"{where}, but it stands in {places}")
        if len(leases) != (status == "started"):
            problems.append(f"{where} with leases {leases}")
        if status in ("queued", "scheduled", "started") and books.ttls[job_id] != -1:
            problems.append(f"{where}, and it will be gone in {books.ttls[job_id]} s")
        if status == "finished" and books.receipts[job_id] not in accepted:
            problems.append(f"{where} as {books.receipts[job_id]}, but SES accepted {accepted}")
        return problems


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _message_id(results: list[tuple[bytes, dict[bytes, bytes]]]) -> str | None:
    if not results or b"return_value" not in results[0][1]:
        return None
    value = json.loads(base64.b64decode(results[0][1][b"return_value"]))
    return str(value["message_id"])
