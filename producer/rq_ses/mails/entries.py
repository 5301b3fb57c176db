"""Finds one of a campaign's entries: in its own job, in that of its enqueueing, or where it has gone on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Final

from rq_ses import contract
from rq_ses.campaign.names import bulk_job_id, checked_campaign, entry_id, indexed
from rq_ses.deadletter.reading.payload import Unreadable, read_payload
from rq_ses.keys import keys_of
from rq_ses.mails.mail import Named, campaign_of, deliveries_of, place_of
from rq_ses.mails.stored import MailNotFound, StoredMail, find_mail
from rq_ses.message import address
from rq_ses.server.partitions import Partitions
from rq_ses.server.stored import answered
from rq_ses.states import FAILED, SCHEDULED, WIP

SEARCHED: Final = 2000
"""Jobs of each place that are looked through for an entry that has gone on with others than it came with."""

_PAGE: Final = 100


def named_entries(campaign: str, key: str) -> list[Named]:
    """Return the entries that a user may mean: that of a key, and that of an address. Raises ValueError."""
    names = [key]
    with suppress(ValueError):
        names.append(address.bare(address.normalise(key)).lower())
    checked_campaign(campaign)
    return [Named(entry_id(campaign, name), name) for name in dict.fromkeys(names)]


def find_entry(partitions: Partitions, queues: Sequence[str], campaign: str, named: Named) -> StoredMail:
    """Return the job that an entry is in, or was sent in: in the queue that its campaign's record names.

    That is in the entry's partition; unless their number has changed since, for a job is moved by its own id.

    Raises:
        MailNotFound: it is in none.
        redis.exceptions.RedisError: the server is away, or refuses.
    """
    connection = partitions.of(named.id)
    queues = _queues(connection, queues, campaign)
    number = _number(connection, campaign, named)
    likely = [named.id, *([bulk_job_id(campaign, number)] if number else [])]
    for job_id in chain(likely, _others(connection, queues, campaign, named)):
        client = partitions.of(job_id) if job_id in likely else connection
        with suppress(MailNotFound), partitions.naming(client):
            stored = find_mail(client, queues, job_id)
            if _holds(stored, named):
                return stored
    reason = f"is no entry of campaign {campaign} here: it was never enqueued, or has another key"
    if number is not None:
        reason = (
            f"is an entry of campaign {campaign}, and in no job any more: it was sent, canceled or "
            "discarded, and its job's time to be kept is over"
        )
    raise MailNotFound(named.key, reason, kind="entry")


def _queues(connection: Any, queues: Sequence[str], campaign: str) -> Sequence[str]:
    """Return the queues that a campaign's jobs may stand in; those given if its record is gone."""
    recorded = connection.hget(keys_of(connection).campaign(campaign), "queue") or b""
    bulk = recorded.decode("utf-8", "replace")
    end = contract.queue_name("", "bulk")
    return (
        queues if bulk in queues or not bulk.endswith(end) else contract.queue_names(bulk.removesuffix(end))
    )


def _number(connection: Any, campaign: str, named: Named) -> int | None:
    """Return the number of the job that an entry was enqueued in; 0 isn't known, None is no entry."""
    bucket, field = indexed(named.id)
    value = connection.hget(keys_of(connection).campaign_index(campaign, bucket), field)
    if value is None:
        return None
    return int(value) if value.isdigit() and len(value) < 20 else 0


def _holds(stored: StoredMail, named: Named) -> bool:
    """Tell whether an entry is among those that a job has, or has sent."""
    if contract.CAMPAIGN_FIELD not in stored.fields and not campaign_of(stored.result):
        return False
    sent = deliveries_of(stored.result)
    if stored.job_id == named.id and len(sent) <= 1:
        return True
    return any(named.is_at(to) for to, _ in sent) or _has(stored.data, named)


def _has(data: bytes | None, named: Named) -> bool:
    try:
        return place_of(read_payload(data or b""), named.id) is not None
    except Unreadable:
        return False


def _others(connection: Any, queues: Sequence[str], campaign: str, named: Named) -> Iterator[str]:
    """Yield the jobs of the campaign that have the entry, of the first in each place."""
    keys = keys_of(connection)
    ids = iter(dict.fromkeys(_standing(connection, queues)))
    while page := list(islice(ids, _PAGE)):
        with connection.pipeline(transaction=False) as pipeline:
            for job_id in page:
                pipeline.hmget(keys.job(job_id), contract.CAMPAIGN_FIELD, "data")
            answers = [answered(answer) for answer in pipeline.execute(raise_on_error=False)]
        for job_id, answer in zip(page, answers, strict=True):
            if answer and answer[0] == campaign.encode() and _has(answer[1], named):
                yield job_id.decode("utf-8", "surrogateescape")


def _standing(connection: Any, queues: Sequence[str]) -> Iterator[bytes]:
    """Yield the ids of the first jobs in each place, the least urgent queue first: campaigns wait there."""
    keys = keys_of(connection)
    for queue in reversed(queues):
        yield from connection.lrange(keys.queue(queue), 0, SEARCHED - 1)
        for member in connection.zrange(keys.registry(WIP, queue), 0, SEARCHED - 1):
            yield member.partition(b":")[0]
        for kind in (SCHEDULED, FAILED):
            yield from connection.zrange(keys.registry(kind, queue), 0, SEARCHED - 1)
