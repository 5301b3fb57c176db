"""What SES has told of mails, where the number of partitions is changed: it is looked for elsewhere by then.

It outlives its mail by days. So it isn't found by its mail: all that stands under a prefix is looked through.
What is told of a mail that stays (of another queue, or with a key that stands for another mail) stays, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from redis import Redis
from redis.exceptions import WatchError

from rq_ses.keys import Keys, keys_of
from rq_ses.mails.told import merged
from rq_ses.server.partitions import Partitions
from rq_ses.server.stored import answered

PAGE: Final = 100
"""Keys of a step: a mail may have hundreds of events."""


@dataclass(frozen=True, slots=True)
class _Told:
    """Events of a mail, or the job that SES's MessageId leads to; with the milliseconds until it expires."""

    name: bytes
    value: Any
    ttl: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of keys, each of which names a mail."""

    key: Callable[[Keys, bytes], bytes]
    read: str
    """Name of the command."""
    job: Callable[[_Told], bytes]
    """Returns the id by which a key belongs to a partition."""
    write: Callable[[Any, bytes, _Told, _Told], None]
    """Queues the commands that write what is told, beside what stands there."""


def carry_events(sources: Sequence[Redis], targets: Partitions) -> None:
    """Carry what SES has told to where it belongs. It may be broken off, and be run again.

    Raises redis.exceptions.RedisError when a server is away.

    Args:
        sources: clients of all prefixes under which events may stand.
        targets: the partitions there are now.
    """
    for source in sources:
        for kind in _KINDS:
            for names in _pages(source, kind):
                _step(source, targets, kind, names)


def _pages(source: Any, kind: _Kind) -> Iterator[Sequence[bytes]]:
    start = kind.key(keys_of(source), b"")
    found = source.scan_iter(start + b"*", count=1000)
    while page := [key[len(start) :] for key in islice(found, PAGE)]:
        yield page


def _step(source: Any, targets: Partitions, kind: _Kind, names: Sequence[bytes]) -> None:
    """Carry those that belong elsewhere: written there first, and only then taken from here."""
    keys = keys_of(source)
    while True:
        with source.pipeline(transaction=True) as pipeline:
            pipeline.watch(*(kind.key(keys, name) for name in names))
            leaving: dict[str, list[_Told]] = {}
            for one in _left_alone(source, kind, _read(source, kind, names)):
                target = keys_of(targets.of(kind.job(one).decode("utf-8", "surrogateescape"))).prefix
                if target != keys.prefix:
                    leaving.setdefault(target, []).append(one)
            for target, some in leaving.items():
                _write(targets.under(target), kind, some)
            pipeline.multi()
            for one in (one for some in leaving.values() for one in some):
                pipeline.delete(kind.key(keys, one.name))
            try:
                pipeline.execute()
            except WatchError:
                continue  # somebody has stored another event meanwhile
            return


def _read(client: Any, kind: _Kind, names: Sequence[bytes]) -> list[_Told]:
    """Return what is told under some names; nothing of a key that is of another type."""
    keys = keys_of(client)
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            key = kind.key(keys, name)
            pipeline.execute_command(kind.read, key).pttl(key)
        answers = map(answered, pipeline.execute(raise_on_error=False))
    return [_Told(name, next(answers), next(answers)) for name in names]


def _left_alone(client: Any, kind: _Kind, told: Sequence[_Told]) -> list[_Told]:
    """Return those whose mails don't stand here."""
    keys = keys_of(client)
    found = [one for one in told if one.value]
    with client.pipeline(transaction=False) as pipeline:
        for one in found:
            pipeline.exists(keys.job(kind.job(one)))
        return [one for one, stands in zip(found, pipeline.execute(), strict=True) if not stands]


def _write(client: Any, kind: _Kind, told: Sequence[_Told]) -> None:
    keys = keys_of(client)
    while True:
        with client.pipeline(transaction=True) as pipeline:
            pipeline.watch(*(kind.key(keys, one.name) for one in told))
            there = _read(client, kind, [one.name for one in told])
            pipeline.multi()
            for one, other in zip(told, there, strict=True):
                kind.write(pipeline, kind.key(keys, one.name), one, other)
            try:
                pipeline.execute()
            except WatchError:
                continue
            return


def _write_events(pipeline: Any, key: bytes, one: _Told, there: _Told) -> None:
    if there.value is None:
        return  # of another type: nobody reads it
    both: Mapping[bytes, bytes] = merged(there.value, one.value)
    pipeline.hset(key, mapping={name: value for name, value in both.items() if value})
    if (there.value and there.ttl < 0) or one.ttl < 0:
        pipeline.persist(key)
    else:
        pipeline.pexpire(key, max(1, one.ttl, there.ttl))


def _write_lead(pipeline: Any, key: bytes, one: _Told, _: _Told) -> None:
    pipeline.set(key, one.value, nx=True, px=max(1, one.ttl) if one.ttl >= 0 else None)


_KINDS: Final = (
    _Kind(Keys.events, "HGETALL", lambda one: one.name, _write_events),
    _Kind(Keys.message, "GET", lambda one: one.value, _write_lead),
)
