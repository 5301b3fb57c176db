"""Times to live: a mail that is to be sent has none; what is settled ends by the server's clock alone."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

import rq_ses
import rq_ses_worker
from rq_ses import Outbox, Receipt, contract
from rq_ses.server.script import script_text
from rq_ses_worker.audit.sweep import Sweep
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.lifecycle.records import Settlement, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.keyed import JOB, JOB_ID, Keyed, registry
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail


def requeue_by_rq(keyed: Keyed) -> None:
    keyed.fail()
    fetch(keyed.redis, JOB_ID).requeue()


def schedule_with_a_ttl(keyed: Keyed) -> None:
    keyed.redis.expire(JOB, 1000)


@pytest.mark.parametrize(
    ("delay", "change", "found"),
    [(None, requeue_by_rq, "queued"), (3600, schedule_with_a_ttl, "scheduled")],
)
@pytest.mark.parametrize("mend", ["key", "sweep", "audit"])
def test_a_mail_that_is_to_be_sent_and_has_a_time_to_live_loses_it(
    keyed: Keyed, delay: float | None, change: Callable[[Keyed], None], found: str, mend: str
) -> None:
    keyed.send(delay=delay)
    change(keyed)
    seconds = keyed.redis.ttl(JOB)
    assert seconds > 0
    [report] = keyed.audit()
    assert report.done == ""
    assert report.found.startswith(f"{found}, but would expire in {str(seconds)[:3]}")
    if mend == "key":
        assert keyed.send() == Receipt(JOB_ID, duplicate=True)
    elif mend == "sweep":
        assert keyed.sweep() == 1
    else:
        assert [report.done for report in keyed.audit(repair=True)] == ["it no longer expires"]
    assert not keyed.expires()
    assert keyed.audit() == []


def test_a_sweep_looks_at_every_entry_of_a_long_queue_and_takes_nothing_else_off(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses_worker.audit.sweep.CHUNK", 7)
    outbox = Outbox(redis)
    ids = [receipt.job_id for receipt in outbox.send_many([mail() for _ in range(40)])]
    later = [outbox.send(mail(), delay=60 + n).job_id for n in range(20)]
    worker = Lifecycle(redis, ["mail"], "w", "e" * 8, 30.0)
    claims, _ = worker.claim(2)
    worker.settle([Settlement(claims[0].lease, "sent", datetime.now(UTC), {}, sent_fields({}))], clock=0)
    for job_id in (*ids[1:], *later):
        redis.expire(KEYS.job(job_id), 1000)
    assert Sweep(redis, "mail").run() == 38 + 20
    assert [redis.ttl(KEYS.job(job_id)) for job_id in (*ids[2:], *later)] == [-1] * 58
    assert redis.ttl(KEYS.job(ids[0])) > 0


def test_of_a_long_queue_each_sweep_looks_at_the_end_and_at_another_part(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_ses_worker.audit.sweep.CHUNK", 5)
    monkeypatch.setattr("rq_ses_worker.audit.sweep.SLICE", 10)
    ids = [receipt.job_id for receipt in Outbox(redis).send_many([mail() for _ in range(45)])]
    for job_id in ids:
        redis.expire(KEYS.job(job_id), 1000)
    sweep, kept = Sweep(redis, "mail"), []
    for minute in range(4):
        monkeypatch.setattr(redis, "time", lambda: (60 * minute, 0))  # noqa: B023
        kept.append(sweep.run())
        assert redis.ttl(KEYS.job(ids[-1])) == -1
    assert kept == [20, 10, 10, 5]


def test_only_the_servers_clock_ends_a_record(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's host may be years ahead."""
    keyed.send()
    keyed.fail()
    canceled = keyed.outbox.send(mail()).job_id
    fetch(keyed.redis, canceled).cancel()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr("rq.registry.current_timestamp", lambda: 4_000_000_000)
    keyed.sweep()
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is not None
    assert keyed.redis.zscore(registry("canceled"), canceled) < 4e9
    keyed.redis.zadd(registry("failed"), {"gone": 1.0, JOB_ID: 1.0})
    keyed.sweep()
    # An entry goes with its job, and stays as long as that is there.
    assert keyed.redis.zscore(registry("failed"), "gone") is None
    left = keyed.redis.ttl(JOB)
    assert keyed.redis.zscore(registry("failed"), JOB_ID) == pytest.approx(
        keyed.redis.time()[0] + left - contract.FAILED_GRACE, abs=5
    )
    assert keyed.audit() == []


def test_a_mail_requeued_at_its_very_end_waits_in_the_queue_for_long_enough(redis: Redis) -> None:
    keyed = Keyed(redis)
    keyed.outbox = Outbox(redis, failure_ttl=1)  # as long as the call may take, and a minute
    keyed.send()
    keyed.fail()
    end = redis.zscore(registry("failed"), JOB_ID)
    assert end is not None
    assert end - redis.time()[0] == pytest.approx(62, abs=5)
    assert redis.ttl(JOB) == pytest.approx(62 + contract.FAILED_GRACE, abs=5)
    fetch(redis, JOB_ID).requeue()
    assert redis.ttl(JOB) > contract.FAILED_GRACE  # RQ leaves it, and nobody may come by for a while
    assert "would expire" in keyed.audit(repair=True)[0].found
    assert redis.ttl(JOB) == -1


def test_a_failed_mail_whose_time_is_over_is_none_any_more(keyed: Keyed) -> None:
    keyed.send()
    keyed.fail()
    keyed.redis.zadd(registry("failed"), {JOB_ID: keyed.redis.time()[0] - 1})
    keyed.redis.expire(JOB, contract.FAILED_GRACE - 1)
    keyed.sweep()
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is None
    assert keyed.audit(repair=True) == []
    assert keyed.redis.zscore(registry("failed"), JOB_ID) is None
    keyed.is_free()


@pytest.mark.parametrize("script", ["receipt", "contested", "sweep", "audit", "restore", "outbox/enqueue"])
def test_every_script_gives_a_failed_mail_the_same_grace(script: str) -> None:
    [path] = [p for root in (rq_ses, rq_ses_worker) for p in Path(root.__path__[0]).rglob(f"{script}.lua")]
    text = path.read_text()
    assert re.search(rf"\b{contract.FAILED_GRACE}\b", script_text([text])), "servers have the number"
    assert re.search(r"\bFAILED_GRACE\b", text), "the script knows it"
    assert not re.search(r"FAILED_GRACE *=|\b3600\b", text), "and says no other"


def test_one_worker_at_a_time_sweeps(redis: Redis) -> None:
    job_id = Outbox(redis).send(mail()).job_id
    first, second = (Sweeper(redis, ["mail"], threading.Event()) for _ in range(2))
    first.sweep()
    redis.expire(KEYS.job(job_id), 1000)
    second.sweep()
    assert redis.ttl(KEYS.job(job_id)) > 0
    [lock] = redis.keys("rq:ses:sweep*")
    assert 0 < redis.pttl(lock) <= 60_000
    redis.delete(lock)
    second.sweep()
    assert redis.ttl(KEYS.job(job_id)) == -1
