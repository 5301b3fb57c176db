"""Whether workers are at the queues, as RQ's registry has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from redis import Redis

from rq_ses.keys import keys_of
from rq_ses.partition import MOVING, resuming
from rq_ses.status.unserved import strays, unserved
from rq_ses.text.plaintext import one_line
from rq_ses_worker.doctor.finding import Finding, ok, variable
from rq_ses_worker.monitoring.registered import age, registered

SILENT: Final = 480.0
"""Seconds without a heartbeat after which a worker is doubted; a stock `rq worker` may be silent for 405."""

_FIELDS: Final = ("queues", "last_heartbeat")
_SHOWN: Final = 5
_LOOKED_AT: Final = 1000


def check_workers(
    connection: Redis, queues: Sequence[str], *, now: datetime | None = None
) -> Iterator[Finding]:
    """Yield what is found about the workers of the queues. Raises RedisError if Redis can't be asked."""
    clock = now or datetime.now(UTC)
    living: dict[str, set[str]] = {queue: set() for queue in queues}
    silent = set()
    for found, values in registered(connection, _FIELDS, most=_LOOKED_AT):
        name = one_line(found, 80)
        served = set(values["queues"].split(",")) & set(queues)
        if not served:
            continue
        if age(values["last_heartbeat"], clock) > SILENT:
            silent.add(name)
            continue
        for queue in served:
            living[queue].add(name)
    yield from _judged(living, silent)
    for one in unserved(connection, besides=queues):
        yield Finding("workers.unserved", "warning", str(one), f"start one: {one.remedy}")
    keys = keys_of(connection)
    if connection.exists(keys.suspended):
        moving = connection.get(keys.suspended) == MOVING.encode()
        by = f"by `{MOVING}`" if moving else "(`rq suspend`)"
        yield Finding(
            "workers.suspended",
            "warning",
            f"all workers are suspended {by}: mails wait",
            f"let them go on: {resuming([keys.prefix], moving=moving)}",
        )


def check_strays(own: Redis) -> Iterator[Finding]:
    """Yield what is found of queues under the deployment's own prefix, where others are its partitions.

    Raises RedisError if Redis can't be asked.
    """
    for one in strays(own):
        yield Finding("workers.unserved", "warning", str(one), f"end what fills it, then: {one.remedy}")


def _judged(living: dict[str, set[str]], silent: set[str]) -> Iterator[Finding]:
    names = set().union(*living.values())
    if names:
        yield ok("workers.seen", f"{_count(len(names))}: {_listed(names)}")
    else:
        yield Finding(
            "workers.seen",
            "warning",
            f"no worker is at {', '.join(living)}: mails wait until one starts",
            f"start one: rq-ses worker; if one runs, it uses another {variable('redis_url')} or "
            f"{variable('queue')}",
        )
    idle = [queue for queue, there in living.items() if names and not there]
    if idle:
        yield Finding(
            "workers.queues",
            "warning",
            f"no worker is at {', '.join(idle)}, while others are at {', '.join(set(living) - set(idle))}",
            "start a worker for it, too",
        )
    if silent:
        yield Finding(
            "workers.silent",
            "info",
            f"{_count(len(silent))} registered, but silent for {SILENT:.0f} s: {_listed(silent)}",
            "look whether it hangs; one that was killed leaves the registry by itself within minutes",
        )


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _count(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
