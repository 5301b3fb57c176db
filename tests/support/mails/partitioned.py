"""Queues in partitions: mails in every state, and how all of them stand."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from redis import Redis

from rq_ses import Outbox, contract
from rq_ses.keys import Keys, keys_of
from rq_ses.mails import Mails
from rq_ses.server.connection import connect
from rq_ses_worker.lifecycle.records import Claim
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.mail import mail
from support.mails.transitions import back, failed, sent

TWO = ("{p0}", "{p1}")
THREE = ("{p0}", "{p1}", "{p2}")
STATES = ("queued", "scheduled", "finished", "failed", "canceled")
QUEUES = contract.queue_names("mail")


def client(redis_url: str, prefix: str) -> Redis:
    return connect(redis_url, socket_timeout=5, connect_timeout=5, keys=Keys(prefix))


def fill(redis_url: str, partitions: tuple[str, ...], each: int) -> dict[str, str]:
    """Bring keyed mails into every state; return the keys of their jobs by id."""
    outbox = Outbox(redis_url, partitions=partitions)
    mails = Mails(redis_url, partitions=partitions)
    keys = [f"{state}-{number}" for state in STATES for number in range(each)]
    for key in keys:
        outbox.send(mail(), key=key, delay=3600 if key.startswith("scheduled") else None)
    ids = {contract.keyed_job_id("mail", key): key for key in keys}
    for place in partitions or (Keys.default().prefix,):
        with client(redis_url, place) as one:
            settle(one, ids)
    for job_id, key in ids.items():
        if key.startswith("canceled"):
            assert mails.cancel(job_id).canceled
    outbox.send(mail(), key="urgent", priority="high")
    return {**ids, contract.keyed_job_id("mail", "urgent"): "urgent"}


def settle(one: Redis, ids: dict[str, str]) -> None:
    """Claim all, end those that are to be finished or failed, and put the others back."""
    worker = Lifecycle(one, ["mail"], "w", "aaaaaaaa", 30.0)
    claims: list[Claim] = worker.claim(1000)[0]
    ends: dict[str, Any] = {"finished": sent, "failed": failed}
    done = [(ends[state], claim.lease) for claim in claims if (state := _state(ids, claim)) in ends]
    worker.settle([end(lease) for end, lease in done], clock=time.monotonic())
    worker.settle(
        [back(claim.lease) for claim in claims if _state(ids, claim) not in ends], clock=time.monotonic()
    )


def _state(ids: dict[str, str], claim: Claim) -> str:
    return ids[claim.lease.job_id].partition("-")[0]


def standing(clients: Iterable[Redis]) -> dict[str, dict[str, Any]]:
    """Return of each prefix its jobs by id: their fields, their results, and the places they stand in."""
    return {keys_of(one).prefix: dict(jobs(one)) for one in clients}


def jobs(one: Any) -> Iterable[tuple[str, Any]]:
    keys = keys_of(one)
    places: dict[bytes, list[tuple[str, float]]] = {}
    for queue in QUEUES:
        for job_id in one.lrange(keys.queue(queue), 0, -1):
            places.setdefault(job_id, []).append((queue, 0.0))
        for kind in ("wip", "scheduled", "finished", "failed", "canceled"):
            for member, score in one.zrange(keys.registry(kind, queue), 0, -1, withscores=True):
                places.setdefault(member.partition(b":")[0], []).append((f"{kind}:{queue}", score))
    found = {key.removeprefix(keys.job_prefix.encode()) for key in one.keys(f"{keys.job_prefix}*")}
    for job_id in found | places.keys():
        expires = one.pttl(keys.job(job_id)) >= 0
        results = one.xrange(keys.results(job_id))
        yield job_id.decode(), (one.hgetall(keys.job(job_id)), results, expires, places.get(job_id, []))
