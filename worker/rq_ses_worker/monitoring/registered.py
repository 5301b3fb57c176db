"""Workers as RQ's registry has them. Only read: RQ's own look-ups clean up on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rq_ses.keys import keys_of

if TYPE_CHECKING:
    from redis import Redis

    from rq_ses_worker.monitoring.plainredis import PlainRedis


def registered(
    connection: Redis | PlainRedis, fields: Sequence[str], *, most: int | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and some fields of each worker that has the first of them.

    Others aren't workers any more: only RQ's clean-up takes out the name of one whose hash has expired.
    Of more than `most` the first by name are looked at. Raises RedisError.
    """
    keys = keys_of(connection)
    there: Any = connection.smembers(keys.workers)
    chosen = sorted(there)[:most]
    with connection.pipeline(transaction=False) as pipeline:
        for key in chosen:
            pipeline.hmget(key, *fields)
        replies = pipeline.execute(raise_on_error=False)
    for key, reply in zip(chosen, replies, strict=True):
        if isinstance(reply, list) and reply[0] is not None:
            name = _text(key).removeprefix(keys.worker_prefix)
            yield name, {field: _text(value) for field, value in zip(fields, reply, strict=True)}


def age(date: str, now: datetime) -> float:
    """Return the seconds since a moment in RQ's date form; infinity if it is none."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return float("inf")
    return (now - (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)).total_seconds()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
