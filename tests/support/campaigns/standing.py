"""Campaigns as their producer and the worker leave them in Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from redis import Redis

from rq_ses import contract
from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.campaign.bulkjob import BulkJob, QueuedEntry, encode, encode_terms, options_of
from rq_ses.campaign.names import bulk_job_id, entry_id, indexed
from rq_ses.keys import keys_of
from support.mails.deadletters import fail_queued
from support.mails.keys import KEYS

BULK: Final = "mail-bulk"
MOMENT: Final = "2026-05-01T10:00:00.000000Z"
COUNTS: Final = ("enqueued", "sent", "canceled", "discarded")


def campaign(name: str = "sale", **terms: Any) -> Campaign:
    template = Template(subject="For {{name}}", text="Dear {{name}}")
    return Campaign(**{"name": name, "sender": "Shop <shop@example.com>", "template": template, **terms})


def entries(count: int, first: int = 0, **fields: Any) -> list[Entry]:
    """Return so many, to user0@example.com and so on."""
    return [
        Entry(f"user{number}@example.com", {"name": f"N{number}"}, **fields)
        for number in range(first, first + count)
    ]


def write_job(
    redis: Redis,
    sent: Campaign,
    queued: Sequence[QueuedEntry],
    number: int,
    *,
    queue: str = BULK,
    at: str = MOMENT,
) -> str:
    """Queue entries as one bulk job, and nothing else of their campaign; return the job's id."""
    keys, job_id = keys_of(redis), bulk_job_id(sent.name, number)
    fields = {
        "created_at": at,
        "enqueued_at": at,
        "status": "queued",
        "origin": queue,
        "timeout": 3600,
        "result_ttl": contract.RESULT_TTL,
        "failure_ttl": contract.FAILURE_TTL,
        "description": contract.description([entry.to for entry in queued], sent.name),
        "data": encode(BulkJob(sent.name, encode_terms(sent).hash, tuple(queued)), options_of(sent)),
        contract.CAMPAIGN_FIELD: sent.name,
        contract.RECIPIENTS_FIELD: len(queued),
    }
    redis.hset(keys.job(job_id), mapping=fields)
    redis.sadd(keys.queues, keys.queue(queue))
    redis.rpush(keys.queue(queue), job_id)
    return job_id


def queue_entries(redis: Redis, sent: Campaign, some: Sequence[Entry], number: int = 1) -> str:
    """Queue entries as one bulk job, in its campaign's record and index; return the job's id."""
    terms, record = encode_terms(sent), KEYS.campaign(sent.name)
    redis.sadd(KEYS.campaigns, sent.name)
    redis.set(KEYS.terms(terms.hash), terms.data)
    now = f"{time.time():.0f}"
    start = {"queue": BULK, "terms": terms.hash, "state": "sending", "created_at": now}
    if not redis.exists(record):
        redis.hset(record, mapping=start)
    redis.hincrby(record, "enqueued", len(some))
    redis.hset(record, mapping={"complete": "1", "changed_at": now, "jobs": number})
    queued = [QueuedEntry.of(entry, entry_id(sent.name, entry.identity)) for entry in some]
    for one in queued:
        bucket, field = indexed(one.id)
        redis.hset(KEYS.campaign_index(sent.name, bucket), field, str(number))
    return write_job(redis, sent, queued, number)


def fail_entries(redis: Redis, sent: Campaign, some: Sequence[Entry], number: int = 1) -> str:
    """Let entries fail together; return their job's id."""
    job_id = queue_entries(redis, sent, some, number)
    fail_queued(redis, queue=BULK)
    return job_id


def index_entries(redis: Redis, whose: Campaign, addresses: Sequence[str], **fields: int) -> None:
    """Leave a campaign under a client's keys as it is when these entries were enqueued and no job is left."""
    keys, terms = keys_of(redis), encode_terms(whose)
    redis.sadd(keys.campaigns, whose.name)
    redis.set(keys.terms(terms.hash), terms.data)
    record = {"queue": BULK, "terms": terms.hash, "state": "sending", "complete": "1", "changed_at": "1"}
    redis.hset(keys.campaign(whose.name), mapping={**record, "enqueued": len(addresses), **fields})
    for address in addresses:
        bucket, field = indexed(entry_id(whose.name, address))
        redis.hset(keys.campaign_index(whose.name, bucket), field, "1")


def counts(redis: Redis, name: str = "sale") -> dict[str, int]:
    """Return what a campaign's record counts under a client's keys, without what is 0."""
    found = redis.hmget(keys_of(redis).campaign(name), COUNTS)
    return {
        count: int(value) for count, value in zip(COUNTS, found, strict=True) if value not in (None, b"0")
    }
