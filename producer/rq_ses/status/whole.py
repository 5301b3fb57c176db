"""How all partitions of a queue stand together: counts are sums, what each has stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.keys import keys_of
from rq_ses.server.partitions import Partitions
from rq_ses.status.campaigns import together as together_campaigns
from rq_ses.status.reader import read_snapshot, untold_of
from rq_ses.status.snapshot import PartitionState, QueueState, Snapshot
from rq_ses.status.unserved import strays


def read_whole(
    partitions: Partitions,
    queues: Sequence[str],
    *,
    account: tuple[str, str] | None = None,
    mails: int = 10,
    workers: bool = True,
    partly: bool = False,
) -> Snapshot:
    """Return how everything stands, as `read_snapshot` does of one client.

    With `partly`, a partition that is away isn't counted, but named in `refused`, as long as another answers.

    Raises:
        redis.exceptions.RedisError: a partition's server is away (`partly`: all are), or refuses everything.
    """
    found: list[tuple[str, Snapshot]] = []
    away: dict[str, RedisError] = {}
    for client in partitions:
        try:
            with partitions.naming(client):
                one = read_snapshot(
                    client, queues, account=account, mails=mails, workers=workers, gates=partitions.own
                )
        except RedisError as exc:
            if not partly:
                raise
            away[keys_of(client).prefix] = exc
        else:
            found.append((keys_of(client).prefix, one))
    if not found:
        raise next(iter(away.values()))
    if not partitions.prefixes:
        return found[0][1]
    whole = together(found, mails)
    untold = tuple(
        untold_of("what stands there, which isn't counted", away[prefix], prefix) for prefix in away
    )
    whole = replace(whole, refused=(*untold, *whole.refused))
    return _with_strays(whole, partitions.own) if workers else whole


def together(found: Sequence[tuple[str, Snapshot]], mails: int) -> Snapshot:
    """Return the snapshots of some partitions, each by its prefix, as one; `mails`: as many being sent."""
    snapshots = [snapshot for _, snapshot in found]
    sending = sorted(
        chain.from_iterable(one.mails for one in snapshots),
        key=lambda mail: mail.seconds or 0.0,
        reverse=True,
    )
    gates = {(gate.account, gate.region): gate for one in snapshots for gate in one.gates}
    return Snapshot(
        now=snapshots[0].now,
        suspended=any(one.suspended for one in snapshots),
        moving=any(one.moving for one in snapshots),
        queues=tuple(map(_queue, *(one.queues for one in snapshots))),
        workers=tuple(chain.from_iterable(one.workers for one in snapshots)),
        other_workers=sum(one.other_workers for one in snapshots),
        gates=tuple(gates.values()),
        mails=tuple(sending[:mails]),
        unserved=tuple(replace(queue, partition=prefix) for prefix, one in found for queue in one.unserved),
        served=tuple(sorted(set(chain.from_iterable(one.served for one in snapshots)))),
        refused=tuple(
            dict.fromkeys(
                untold if untold.partition else replace(untold, partition=prefix)
                for prefix, one in found
                for untold in one.refused
            )
        ),
        partitions=tuple(
            PartitionState(prefix, one.suspended, len(one.workers), one.queues, one.moving)
            for prefix, one in found
        ),
        campaigns=together_campaigns(one.campaigns for one in snapshots),
    )


def _with_strays(whole: Snapshot, own: Redis) -> Snapshot:
    """Add what stands under the deployment's own prefix, where no partition is."""
    try:
        return replace(whole, unserved=(*strays(own), *whole.unserved))
    except RedisError as exc:
        untold = untold_of("the names of all queues", exc, keys_of(own).prefix)
        return replace(whole, refused=(*whole.refused, untold))


def _queue(*parts: QueueState) -> QueueState:
    """Return one queue's states in all partitions as one; what isn't known of a part isn't of the whole."""
    return QueueState(
        parts[0].name,
        queued=_sum(part.queued for part in parts),
        started=_sum(part.started for part in parts),
        scheduled=_sum(part.scheduled for part in parts),
        failed=_sum(part.failed for part in parts),
        oldest=None if any(part.oldest is None for part in parts) else max(p.oldest or 0.0 for p in parts),
        next_due=min((part.next_due for part in parts if part.next_due is not None), default=None),
        canceled=_sum(part.canceled for part in parts),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
