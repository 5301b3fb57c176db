"""Bulk jobs made by hand, and a client that answers to each of their entries as it is told."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.campaign.bulkjob import QueuedEntry, encode_terms
from rq_ses.campaign.names import entry_id
from rq_ses.keys import keys_of
from rq_ses.message.message import Message
from rq_ses.message.render import send_email_body
from rq_ses.rqdate import utcformat
from rq_ses.states import REGISTRY
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.campaign.mailing import Mailing
from rq_ses_worker.campaign.terms import TermsCache
from rq_ses_worker.engine.attempt import Attempts
from rq_ses_worker.engine.bulk.attempts import BulkAttempts
from rq_ses_worker.engine.claiming.reclaim import Reclaim
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.task import read_job
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.bulk.answer import outcomes
from rq_ses_worker.ses.outcome import Outcome, Sent
from support.campaigns.standing import write_job
from support.waiting import wait_for

QUEUE = "mail-bulk"
NAME = "spring"


def campaign(**fields: Any) -> Campaign:
    template = Template(subject="For {{name}}", text="Dear {{name}}", html="<p>Dear {{name}}</p>")
    return Campaign(**{"name": NAME, "sender": "shop@example.com", "template": template, **fields})


def addresses(count: int, first: int = 0) -> list[str]:
    return [f"to-{number}@example.com" for number in range(first, first + count)]


def queued(to: str, data: dict[str, Any] | None = None, name: str = NAME) -> QueuedEntry:
    entry = Entry(to, data or {"name": to.partition("@")[0]})
    return QueuedEntry.of(entry, entry_id(name, entry.identity))


def store(redis: Redis, given: Campaign, **record: Any) -> str:
    """Write a campaign's terms and record; return the hash of its terms."""
    keys, terms = keys_of(redis), encode_terms(given)
    redis.set(keys.terms(terms.hash), terms.data)
    fields = {
        "queue": QUEUE,
        "terms": terms.hash,
        "state": "sending",
        "enqueued": 0,
        "sent": 0,
        "canceled": 0,
    }
    redis.hset(keys.campaign(given.name), mapping={**fields, **record})
    redis.sadd(keys.campaigns, given.name)
    return terms.hash


def enqueue(redis: Redis, given: Campaign, to: Sequence[str], *, number: int = 1, queue: str = QUEUE) -> str:
    """Queue one bulk job; return its id."""
    entries = [queued(one, name=given.name) for one in to]
    job_id = write_job(redis, given, entries, number, queue=queue, at=utcformat(datetime.now(UTC)))
    redis.hincrby(keys_of(redis).campaign(given.name), "enqueued", len(to))
    return job_id


Answers = Callable[[str], dict[str, Any]]
"""What SES's result is for an address."""


def success(to: str) -> dict[str, Any]:
    return {"Status": "SUCCESS", "MessageId": f"id-of-{to}"}


class BulkClient:
    """Stands in for SES: answers by address, and counts who was sent a mail."""

    def __init__(self, answers: Answers = success) -> None:
        self.answers = answers
        self.sent: Counter[str] = Counter()
        self.requests: list[list[str]] = []
        self.mails: list[tuple[str, str]] = []
        """Address and subject of each mail that was rendered by us."""
        self.whole: Outcome | Exception | None = None
        """What becomes of the next request as a whole."""

    def send(self, message: Message, job_id: str = "") -> Outcome:
        return self.send_body(send_email_body(message, job_id))

    def send_body(self, body: bytes) -> Outcome:
        request = json.loads(body)
        [to] = request["Destination"]["ToAddresses"]
        self.mails.append((to, request["Content"]["Simple"]["Subject"]["Data"]))
        self.sent[to] += 1
        return Sent(200, message_id=f"id-of-{request['EmailTags'][-1]['Value']}")

    def send_bulk(self, body: bytes, entries: int) -> Outcome | list[Outcome]:
        request = json.loads(body)
        to = [entry["Destination"]["ToAddresses"][0] for entry in request["BulkEmailEntries"]]
        assert len(to) == entries
        self.requests.append(to)
        if isinstance(self.whole, Exception):
            raise self.whole
        if self.whole is not None:
            return self.whole
        results = [self.answers(one) for one in to]
        for one, result in zip(to, results, strict=True):
            self.sent[one] += result.get("Status") == "SUCCESS"
        answer = json.dumps({"BulkEmailEntryResults": results}).encode()
        return outcomes(Sent(200, request_id="r-1"), answer, entries)


class Desk:
    """A worker without threads: it claims, makes attempts, and settles them."""

    def __init__(
        self,
        redis: Redis,
        client: BulkClient,
        policy: RetryPolicy | None = None,
        *,
        name: str = "ours",
        queues: Sequence[str] = (QUEUE,),
        gate: GatePolicy | None = None,
    ) -> None:
        self.redis, self.client = redis, client
        gate = gate or GatePolicy(max_send_rate=1e6)
        self.lifecycle = Lifecycle(redis, queues, name, name[:1] * 8, 30.0, gate=gate)
        self.shared = Shared(Leases(30.0), self.lifecycle.clock)
        underway = Underway(1)
        bulk = BulkAttempts(
            client,
            self.shared,
            TermsCache(redis, Mailing.read),
            self.lifecycle.dividing,
            gate.bulk_size,
            redis,
        )
        self.policy = policy or RetryPolicy()
        self.attempts = Attempts(client, self.policy, self.shared, underway, lambda: bulk)
        self.words: list[str] = []

    def claim(self, wanted: int = 1) -> list[Claim]:
        claims, _ = self.lifecycle.claim(wanted)
        for claim in claims:
            self.shared.leases.add(claim.lease, time.monotonic())
        return claims

    def claim_or_rest(self) -> list[Claim] | str:
        """Claim one; say why there is none, but for a 429 that has emptied the bucket."""
        claims, refusal = self.claim(), self.lifecycle.view.refusal
        return claims or ("" if refusal == "rate" else refusal or "nothing")

    def attempt(self, claim: Claim) -> Settlement:
        return self.attempts.make(claim)

    def settle(self, one: Settlement) -> str:
        return self.lifecycle.settle([one], clock=time.monotonic())[0]

    def work(self, *, rounds: int = 1000) -> None:
        """Send what is queued, and what is due."""
        for _ in range(rounds):
            self.lifecycle.promote()
            claims = wait_for(self.claim_or_rest)
            if not isinstance(claims, list):
                return
            for claim in claims:
                self.words.append(self.settle(self.attempt(claim)))


def make_due(redis: Redis, queue: str = QUEUE) -> None:
    """Let what is scheduled be due now."""
    key = keys_of(redis).registry("scheduled", queue)
    for member in redis.zrange(key, 0, -1):
        redis.zadd(key, {member: 1.0})


def places(redis: Redis, queue: str = QUEUE) -> dict[str, list[str]]:
    """Return where each entry stands, by its address: the statuses of the jobs that hold it."""
    keys, found = keys_of(redis), dict[str, list[str]]()
    for key in redis.scan_iter(f"{keys.job_prefix}*"):
        job = redis.hgetall(key)
        job_id, status = key.decode().removeprefix(keys.job_prefix), job[b"status"].decode()
        where = "queued" if status == "queued" else REGISTRY[status]
        if status == "queued":
            assert job_id.encode() in redis.lrange(keys.queue(queue), 0, -1)
        elif status == "started":
            assert [m for m in redis.zrange(keys.leases(queue), 0, -1) if m.startswith(job_id.encode())]
        else:
            assert redis.zscore(keys.registry(where, queue), job_id) is not None, (job_id, status)
        expires = redis.ttl(key) >= 0
        assert expires == (status in ("finished", "failed", "canceled")), (job_id, status)
        for one in entries_of(redis, job_id, job):
            found.setdefault(one, []).append(status)
    return found


def entries_of(redis: Redis, job_id: str, job: dict[bytes, bytes]) -> list[str]:
    if job[b"status"] == b"finished":
        [(_, newest)] = redis.xrevrange(keys_of(redis).results(job_id), count=1) or [("", {})]
        if not newest.get(b"return_value"):
            return []  # it is for show, and written last
        result = json.loads(b64decode(newest[b"return_value"]))
        return [to for to, status, _ in result["entries"] if status == "SUCCESS"]
    task = read_job(job[b"data"])
    assert task.bulk
    assert int(job[b"rq_ses_recipients"]) == len(task.bulk.entries)
    assert job[b"rq_ses_campaign"].decode() == task.bulk.campaign
    return [entry.to for entry in task.bulk.entries]


def counts(redis: Redis, name: str = NAME) -> tuple[int, int, int]:
    """Return a campaign's entries that were enqueued, sent, canceled."""
    record = keys_of(redis).campaign(name)
    enqueued, sent, canceled = redis.hmget(record, "enqueued", "sent", "canceled")
    return int(enqueued), int(sent), int(canceled)


class Finder:
    """Takes the ends of a dead worker's executions, as the settler does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __contains__(self, lease: Lease) -> bool:
        return False

    def put(self, settlement: Settlement) -> None:
        self._desk.settle(settlement)


def lose(redis: Redis, finder: Desk, queue: str = QUEUE) -> None:
    """Let all leases run out, and a worker find them."""
    leases = keys_of(redis).leases(queue)
    for member in redis.zrange(leases, 0, -1):
        redis.zadd(leases, {member: 1.0}, xx=True)
    settler: Any = Finder(finder)
    Reclaim(finder.lifecycle, finder.shared, settler, finder.policy).run(time.monotonic())
