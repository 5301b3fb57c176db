"""The stacks under measurement: how each is filled, started, and asked what is still to be done."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from redis import Redis
from rq import Queue

from benchmarks.harness.mails import message, request
from rq_ses import Outbox, contract
from rq_ses.keys import Keys

_KEYS: Final = Keys.default()
_BATCH: Final = 1000


def subjects(count: int, refused: Sequence[int] = ()) -> Iterable[str | None]:
    """Yield a subject for each of `count` mails; every mail in `refused` gets a 503 once."""
    marks = {number: f"bench-503-{number}" for number in refused}
    return (marks.get(number) for number in range(count))


class Stack(Protocol):
    """One way of sending queued mails."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def queue_key(self) -> str:
        """The list the workers take from; renaming it hides the mails in it."""

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:
        """Enqueue mails."""

    def command(self, threads: int) -> list[str]:
        """Return the worker's command line; what it needs beyond is in its environment."""

    def left(self, redis: Redis, enqueued: int, parked: int) -> int:
        """Return how many mails the queue itself doesn't call done, without the parked ones."""


@dataclass(frozen=True, slots=True)
class Ours:
    """rq-ses; `processes` are started by its own supervisor if there are several."""

    name: str = "rq-ses"
    queue_key: str = _KEYS.queue(contract.DEFAULT_QUEUE)
    processes: int = 1

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:
        """Enqueue mails by send_many."""
        Outbox(url).send_many(
            message(number, subject=subject) for number, subject in enumerate(subjects(count, refused))
        )

    def command(self, threads: int) -> list[str]:
        """Return the worker's command line."""
        several = ["--processes", str(self.processes)] if self.processes > 1 else []
        return [sys.executable, "-m", "rq_ses", "worker", "--concurrency", str(threads), *several]

    def left(self, redis: Redis, enqueued: int, parked: int) -> int:
        """Count what isn't in RQ's registry of finished jobs."""
        return enqueued - parked - _finished(redis, contract.DEFAULT_QUEUE)


@dataclass(frozen=True, slots=True)
class StockRq:
    """RQ's own workers with boto3: `kind` is rq.worker.SimpleWorker or rq.worker.Worker (forks)."""

    name: str
    kind: str
    queue_key: str = _KEYS.queue("stock")

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:
        """Enqueue mails by enqueue_many."""
        with Redis.from_url(url) as redis:
            enqueue_rq(
                Queue("stock", connection=redis),
                [request(number, subject=subject) for number, subject in enumerate(subjects(count, refused))],
            )

    def command(self, threads: int) -> list[str]:  # noqa: ARG002
        """Return the worker's command line: one job at a time, whatever the threads."""
        rq = [sys.executable, "-m", "rq.cli", "worker", "stock", "--quiet", "--with-scheduler"]
        return [*rq, "--worker-class", self.kind]

    def left(self, redis: Redis, enqueued: int, parked: int) -> int:
        """Count what isn't in RQ's registry of finished jobs."""
        return enqueued - parked - _finished(redis, "stock")


def enqueue_rq(queue: Queue, requests: Sequence[dict[str, Any]]) -> None:
    """Enqueue in RQ's fastest way: prepared jobs, a pipeline for each thousand."""
    for at in range(0, len(requests), _BATCH):
        batch = requests[at : at + _BATCH]
        queue.enqueue_many(
            [Queue.prepare_data("benchmarks.peers.rq_job.send", args=(item,)) for item in batch]
        )


@dataclass(frozen=True, slots=True)
class CeleryThreads:
    """Celery's thread pool, tasks acknowledged late, no results kept."""

    name: str = "Celery, boto3"
    queue_key: str = "celery"

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:
        """Enqueue mails over one connection."""
        from celery import Celery

        with (
            Celery("bench", broker=url) as app,
            app.connection_for_write() as connection,
            app.amqp.Producer(connection) as producer,
        ):
            for number, subject in enumerate(subjects(count, refused)):
                arguments = (request(number, subject=subject),)
                app.send_task("send", arguments, producer=producer, ignore_result=True)

    def command(self, threads: int) -> list[str]:
        """Return the worker's command line."""
        celery = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker"]
        lean = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
        return [*celery, "-P", "threads", "-c", str(threads), *lean]

    def left(self, redis: Redis, enqueued: int, parked: int) -> int:  # noqa: ARG002
        """Count what is queued or not acknowledged."""
        return _size(redis.llen("celery")) + _size(redis.hlen("unacked"))


@dataclass(frozen=True, slots=True)
class Dramatiq:
    """dramatiq with one process of threads."""

    name: str
    actor: str
    queue_key: str = "dramatiq:default"

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:
        """Enqueue mails."""
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        broker = RedisBroker(url=url)
        broker.declare_queue("default")
        for number, subject in enumerate(subjects(count, refused)):
            broker.enqueue(
                dramatiq.Message(
                    queue_name="default",
                    actor_name=self.actor,
                    args=(request(number, subject=subject),),
                    kwargs={},
                    options={},
                )
            )
        broker.close()

    def command(self, threads: int) -> list[str]:
        """Return the worker's command line."""
        dramatiq = [sys.executable, "-m", "dramatiq", "benchmarks.peers.dramatiq_app"]
        return [*dramatiq, "-p", "1", "-t", str(threads), "--skip-logging"]

    def left(self, redis: Redis, enqueued: int, parked: int) -> int:  # noqa: ARG002
        """Count the messages that are kept until they are acknowledged, those to be retried too."""
        kept = _size(redis.hlen("dramatiq:default.msgs")) + _size(redis.hlen("dramatiq:default.DQ.msgs"))
        return kept - parked


@dataclass(frozen=True, slots=True)
class NoQueue:
    """Threads that send mails from memory."""

    name: str
    kind: str
    queue_key: str = "bench:bare"

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:  # noqa: ARG002
        """Ask for so many mails."""
        with Redis.from_url(url) as redis:
            redis.rpush(self.queue_key, count)

    def command(self, threads: int) -> list[str]:  # noqa: ARG002
        """Return the sender's command line."""
        return [sys.executable, "-m", "benchmarks.peers.bare", self.kind]

    def left(self, redis: Redis, enqueued: int, parked: int) -> int:
        """Count what wasn't sent."""
        done: Any = redis.get("bench:bare:done")
        return enqueued - parked - int(done or 0)


OURS: Final = Ours()
DRAMATIQ_BOTO3: Final = Dramatiq("dramatiq, boto3", "boto3")
DRAMATIQ_URLLIB3: Final = Dramatiq("dramatiq, urllib3", "urllib3")
CELERY: Final = CeleryThreads()
RQ_SIMPLE: Final = StockRq("RQ SimpleWorker, boto3", "rq.worker.SimpleWorker")
RQ_FORK: Final = StockRq("RQ Worker (forks), boto3", "rq.worker.Worker")
BARE_REQUESTS: Final = NoQueue("no queue, requests", "requests")
BARE_URLLIB3: Final = NoQueue("no queue, urllib3", "urllib3")


def _finished(redis: Redis, queue: str) -> int:
    return _size(redis.zcard(_KEYS.registry("finished", queue)))


def _size(reply: Any) -> int:
    return int(reply)
