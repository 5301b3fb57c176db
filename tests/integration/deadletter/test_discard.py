"""Failed mails are deleted each in one step, and only while they still are what was read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import ResponseError

from rq_ses import Outbox, contract
from rq_ses.deadletter import DeadLetters, Discarded, Filter
from rq_ses.status.reader import read_snapshot
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.lifecycle.retry import RetryPolicy
from support.mails.breaking import Breakable, each_break
from support.mails.deadletters import fail, fail_queued, in_doubt, rejected
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.mails.world import World, ending


def test_a_discarded_mail_leaves_nothing_and_frees_its_key(redis: Redis, redis_url: str) -> None:
    outbox = Outbox(redis_url)
    first = outbox.send(mail(), key="k")
    fail_queued(redis)
    kept = fail(redis, [mail()], in_doubt())
    done = DeadLetters(redis_url).discard(Filter(codes=["MessageRejected"]))
    assert done == Discarded(discarded=1)
    assert redis.keys(f"*{first.job_id}*") == []
    assert redis.zrange("rq:failed:mail", 0, -1) == [kept[0].encode()]
    again = outbox.send(mail(subject="Another"), key="k")
    assert (again.job_id, again.duplicate) == (first.job_id, False)
    assert list(Audit(redis, "mail", RetryPolicy(), wait=0).run()) == []


def test_a_mail_that_was_resent_or_failed_anew_meanwhile_is_left(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fail(redis, [mail(), mail(), mail()])
    letters = DeadLetters(redis_url)
    run: Any = letters._discarding._script

    def meanwhile(**kwargs: Any) -> Any:
        DeadLetters(redis_url).resend(Filter(ids=ids[:2]))
        redis.lrem("rq:queue:mail", 1, ids[0])
        fail_queued(redis)
        redis.rpush("rq:queue:mail", ids[0])
        return run(**kwargs)

    monkeypatch.setattr(letters._discarding, "_script", meanwhile)
    done = letters.discard()
    assert (done.discarded, done.gone, done.again) == (1, 1, 1)
    assert [status(redis, job_id) for job_id in ids[:2]] == ["queued", "failed"]
    assert redis.exists(f"rq:job:{ids[2]}") == 0


def test_a_limit_takes_the_oldest_failures_and_every_queue_is_gone_through(
    redis: Redis, redis_url: str
) -> None:
    fail(redis, [mail() for _ in range(1200)])
    fail(redis, [mail() for _ in range(3)], in_doubt(), queue="mail-bulk")
    letters = DeadLetters(redis_url)
    assert letters.discard(limit=700).discarded == 700
    seen: list[int] = []
    done = letters.discard(on_progress=lambda so_far: seen.append(so_far.discarded))
    assert (done.discarded, done.unknown) == (503, 3)
    assert seen == sorted(seen)
    assert letters.groups().count == 0
    assert redis.keys(f"{KEYS.job_prefix}*") == []


def test_a_full_server_takes_a_discard(redis: Redis, redis_url: str) -> None:
    fail(redis, [mail(), mail()])
    redis.config_set("maxmemory", 1)
    try:
        assert DeadLetters(redis_url).discard().discarded == 2
    finally:
        redis.config_set("maxmemory", 0)


# Clients that are handed over


def test_a_client_that_decodes_serves_dead_letters_and_the_status(redis: Redis, redis_url: str) -> None:
    [job_id] = fail(redis, [mail()], rejected())
    decoding = Redis.from_url(redis_url, decode_responses=True, max_connections=4)
    for letters in (DeadLetters(decoding), DeadLetters(connection=decoding)):
        assert letters.groups().count == 1
        assert letters.get(job_id).code == "MessageRejected"
    assert letters.resend().resent == 1
    [_, normal, _] = read_snapshot(decoding, contract.queue_names("mail")).queues
    assert (normal.name, normal.queued) == ("mail", 1)
    assert decoding.ping() is True


def test_a_cluster_s_client_is_refused_with_the_remedy() -> None:
    cluster: Any = object.__new__(RedisCluster)
    for use in (DeadLetters, lambda client: DeadLetters(connection=client)):
        with pytest.raises(TypeError, match=r"RedisCluster can't be used: .*redis\+cluster://"):
            use(cluster)
    with pytest.raises(TypeError, match="RedisCluster can't be used"):
        read_snapshot(cluster, ["mail"])


def test_a_discard_that_breaks_off_at_any_of_its_calls_strands_nothing(redis: Redis) -> None:
    def act(number: int) -> None:
        world = World(redis)
        ids = [receipt.job_id for receipt in world.outbox.send_many([mail() for _ in range(2)])]
        world.ours.settle([ending(claim.lease, "failed") for claim in world.claim()], clock=0)
        letters = DeadLetters(redis)
        script = Breakable(redis, letters._discarding._script)
        letters._discarding._script = script  # type: ignore[assignment]
        script.at = number
        with suppress(ResponseError):
            letters.discard()
        letters.discard()
        world.put_right()
        assert world.places() == {}
        assert not world.sent
        assert [key for key in redis.keys("rq:*") if any(one.encode() in key for one in ids)] == []

    assert each_break(redis, act) > 6
