"""One process works under several prefixes on one server, and none sees or touches what is another's."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis import Redis

from rq_ses import Outbox, contract
from rq_ses.cli.sending.keys import Keys as KeysOfLines
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.gate import close_breaker, gates, is_there, open_breaker, read_gate
from rq_ses.keys import Keys, keys_of
from rq_ses.mails import Mails
from rq_ses.outbox.submission import Submission
from rq_ses.server.connection import connect
from rq_ses.status.reader import read_snapshot
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.doctor.workers import check_workers
from rq_ses_worker.engine.preflight.rights import missing_rights
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.lifecycle.records import Claim
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.mail import mail
from support.mails.transitions import failed, retry, sent

PREFIXES = ("{a}", "{b}")
KEYED = ("sent", "retried", "failed", "discarded")


@pytest.fixture
def parts(redis_url: str) -> Iterator[list[Redis]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(connect(redis_url, socket_timeout=5, connect_timeout=5, keys=Keys(prefix)))
            for prefix in PREFIXES
        ]


@pytest.mark.waitaof
def test_a_mails_whole_life_stands_under_its_clients_prefix(redis: Redis, parts: list[Redis]) -> None:
    one, other = parts
    live(one)
    keys = redis.keys("*")
    assert keys
    assert all(key.startswith(b"{a}:") for key in keys)
    live(other)
    assert {key[:4] for key in redis.keys("*")} == {b"{a}:", b"{b}:"}
    # Keyed mails have the same ids everywhere: each prefix has what the other has.
    names = [sorted(key[3:] for key in redis.keys(f"{prefix}:*")) for prefix in PREFIXES]
    assert names[0] == names[1]


def live(client: Redis) -> None:
    """Let mails be sent, tried again, canceled, fail and be resent, and look at them in every way."""
    outbox = Outbox(connection=client)
    for key in KEYED:
        outbox.send(mail(), key=key)
    outbox.send(mail(), key="canceled", durable=True)
    assert list(KeysOfLines([client], "mail").conflicts([(1, Submission(mail(subject="x"), key="sent"))]))
    snapshot = read_snapshot(client, ["mail"])
    assert [queue.queued for queue in snapshot.queues] == [5]
    assert [one.mails for one in snapshot.unserved] == [5]
    assert {found.id for found in check_workers(client, ["mail"])} == {"workers.seen"}

    assert Mails(connection=client).cancel(key="canceled").canceled
    worker = Lifecycle(client, ["mail"], "w", "aaaaaaaa", 30.0, gate=GatePolicy())
    claims = worker.claim(10)[0]
    assert len(claims) == len(worker.held()) == len(worker.renew([claim.lease for claim in claims])) == 4
    assert worker.adopt(claims[0].lease)
    assert read_snapshot(client, ["mail"]).queues[0].started == 4
    end(worker, claims)
    assert worker.promote()[0] == 1
    work_on_dead_letters(DeadLetters(connection=client))

    names = keys_of(client)
    Sweeper(client, ["mail"], threading.Event()).sweep()
    assert client.delete(names.sweep(["mail"])) == 1
    assert list(Audit(client, "mail", RetryPolicy(), wait=0).run(repair=True)) == []
    use_breaker(client)
    rights = missing_rights(client)
    assert rights is not None
    assert (rights.lacks, rights.root) == ("", names.root)


def end(worker: Lifecycle, claims: list[Claim]) -> None:
    ends = dict(zip(KEYED, (sent, lambda lease: retry(lease, 0.0), failed, failed), strict=True))
    by_id = {contract.keyed_job_id("mail", key): settlement for key, settlement in ends.items()}
    settlements = [by_id[claim.lease.job_id](claim.lease) for claim in claims]
    assert worker.settle(settlements, clock=time.monotonic()) == ["done"] * 4
    worker.learn(None, ask_again=60.0)


def work_on_dead_letters(letters: DeadLetters) -> None:
    """Of two that failed let one be resent, and the other be discarded, restored and discarded."""
    again, never = (contract.keyed_job_id("mail", key) for key in ("failed", "discarded"))
    assert letters.resend(Filter(ids=[again]), include_unknown=True).resent == 1
    lines = io.StringIO()
    assert letters.export(lines).exported == 1
    assert letters.discard(Filter(ids=[never])).discarded == 1
    assert letters.restore(io.BytesIO(lines.getvalue().encode())).failed == 1
    assert [letter.job_id for letter in letters.find()] == [never]


def use_breaker(client: Redis) -> None:
    gate = ("default", "unknown")
    assert gates(client) == [gate]
    assert is_there(client, *gate)
    open_breaker(client, *gate, "a test")
    assert read_gate(client, *gate).breaker == "open"
    assert close_breaker(client, *gate)
