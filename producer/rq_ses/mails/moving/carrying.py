"""What is remembered of campaigns, where the number of partitions is changed.

An entry that waits, or has failed, stands in a job that belongs to its partition as they are numbered: so a
campaign that has such is not moved. Of one that has none there is its index, by which no entry is sent again:
that is copied to every partition an entry may belong to by now; with the terms, and a record that has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import WatchError

from rq_ses.campaign.names import checked_campaign
from rq_ses.keys import keys_of
from rq_ses.text.figures import counted

_COUNTS: Final = ("enqueued", "sent", "canceled", "discarded")
_UNFINISHED: Final = ("writing", "written")
"""Fields of a record: which jobs a producer that broke off was writing (outbox/bulk/enqueue.lua)."""
_TAKEN: Final = "taken:"
"""Field of a record: whose counts are in it. A move that is broken off is run again."""
_DIGITS: Final = "0123456789abcdef"


class Carrying:
    """Carries campaigns that have ended from old partitions to those there are now.

    Its methods raise redis.exceptions.RedisError when a server is away.

    Args:
        sources: clients of all prefixes under which mails may stand.
        targets: of those they belong under.
    """

    def __init__(self, sources: Sequence[Redis], targets: Sequence[Redis]) -> None:
        self._sources: Sequence[Any] = sources
        self._targets: Sequence[Any] = targets
        self._kept = {keys_of(target).prefix for target in targets}

    def problems(self) -> Iterator[str]:
        """Yield why campaigns can't be moved."""
        for source in self._sources:
            for name in _names(source):
                if _broken_off(source, name):
                    yield (
                        f"campaign {name} under {keys_of(source).prefix} was broken off while it was "
                        "enqueued: with the partitions as they were, send it once more under its name, "
                        "or cancel it"
                    )
                left = _left(source, name)
                if left is None or left > 0:
                    entries = "entries" if left is None else counted(left, "entry", "entries")
                    yield (
                        f"campaign {name} under {keys_of(source).prefix} has {entries} waiting, or failed: "
                        "with the partitions as they were, let workers finish them or cancel it, and resend "
                        f"or discard what has failed (rq-ses failed --campaign {name})"
                    )

    def run(self) -> int:
        """Carry all; return how many campaigns. It may be broken off, and be run again."""
        carried = set()
        for source in self._sources:
            for name in _names(source):
                self._carry(source, name)
                carried.add(name)
                if keys_of(source).prefix not in self._kept:
                    _forget(source, name)
        return len(carried)

    def _carry(self, source: Any, name: str) -> None:
        keys = keys_of(source)
        record = source.hgetall(keys.campaign(name))
        terms = source.get(keys.terms(record.get(b"terms", b"").decode("utf-8", "replace")))
        others = [target for target in self._targets if keys_of(target).prefix != keys.prefix]
        for target in others:
            if terms is not None:
                target.set(keys_of(target).terms(record[b"terms"].decode()), terms, nx=True)
            for bucket in _buckets(source, name):
                _copy(source, target, name, bucket)
        for target in others:
            # One of them has the counts of a prefix that is given up; the others know the entries alone.
            given_up = keys.prefix not in self._kept and target is others[0]
            _merge(target, name, record, keys.prefix if given_up else "")


def _names(client: Any) -> list[str]:
    """Return the campaigns that have a record."""
    keys = keys_of(client)
    names = sorted(raw.decode("utf-8", "replace") for raw in client.smembers(keys.campaigns))
    return [name for name in names if _is_name(name) and client.exists(keys.campaign(name))]


def _is_name(name: str) -> bool:
    try:
        return bool(checked_campaign(name))
    except ValueError:
        return False


def _left(client: Any, name: str) -> int | None:
    """Return how many entries are neither sent nor given up; None if that can't be read."""
    found = client.hmget(keys_of(client).campaign(name), *_COUNTS)
    try:
        enqueued, *over = (int(one or 0) for one in found)
    except ValueError:
        return None
    return enqueued - sum(over)


def _broken_off(client: Any, name: str) -> bool:
    """Tell whether a campaign's index may name jobs that don't exist, and nobody has sent it again since."""
    found = client.hmget(keys_of(client).campaign(name), "writing", "complete", "state")
    return bool(found[0]) and found[1] != b"1" and found[2] != b"canceled"


def _buckets(client: Any, name: str) -> Iterator[str]:
    """Yield the ends of the keys of a campaign's index."""
    start = keys_of(client).campaign_index(name, "")
    for key in client.scan_iter(f"{start}*", count=1000):
        bucket = key.decode("utf-8", "replace").removeprefix(start)
        if bucket and set(bucket) <= set(_DIGITS):
            yield bucket


def _copy(source: Any, target: Any, name: str, bucket: str) -> None:
    key = keys_of(target).campaign_index(name, bucket)
    with target.pipeline(transaction=False) as pipeline:
        for field, number in source.hscan_iter(keys_of(source).campaign_index(name, bucket), count=1000):
            pipeline.hsetnx(key, field, number)
            if len(pipeline) >= 1000:
                pipeline.execute()
        pipeline.execute()


def _merge(target: Any, name: str, record: dict[bytes, bytes], counts_of: str) -> None:
    """Let a record stand where it may be looked for; with the counts of a prefix, once."""
    keys = keys_of(target)
    key, taken = keys.campaign(name), f"{_TAKEN}{counts_of}"
    while True:
        with target.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)
            own = pipeline.hgetall(key)
            numbers = max(int(one.get(b"jobs", b"0") or 0) for one in (own, record))
            pipeline.multi()
            pipeline.sadd(keys.campaigns, name)
            for field, value in record.items():
                if field.decode() not in (*_COUNTS, "jobs", *_UNFINISHED) and not field.startswith(
                    _TAKEN.encode()
                ):
                    pipeline.hsetnx(key, field, value)
            pipeline.hset(key, "jobs", numbers)
            for count in _COUNTS if counts_of and taken.encode() not in own else ():
                pipeline.hincrby(key, count, int(record.get(count.encode(), b"0") or 0))
            if counts_of:
                pipeline.hset(key, taken, 1)
            try:
                pipeline.execute()
            except WatchError:
                continue
            return


def _forget(source: Any, name: str) -> None:
    """Delete what is kept of a campaign under a prefix that is given up: the record last."""
    keys = keys_of(source)
    for bucket in list(_buckets(source, name)):
        source.unlink(keys.campaign_index(name, bucket))
    terms = source.hget(keys.campaign(name), "terms")
    if terms:
        source.delete(keys.terms(terms.decode("utf-8", "replace")))
    source.delete(keys.campaign(name))
    source.srem(keys.campaigns, name)
