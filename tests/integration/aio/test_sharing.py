"""What tasks that share an AsyncOutbox share, and what each has for itself."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from rq_ses import IdempotencyConflict, Outbox, OutboxUnavailable, contract
from rq_ses.aio import AsyncOutbox
from rq_ses.aio.connection import ASYNCIO
from rq_ses.aio.lane import CONNECTIONS
from rq_ses.server.timeouts import patience
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.servers.valkey import client, url, valkey
from support.waiting import wait_for

NAME = "of-these-tests"


def length(redis: Redis) -> Any:
    return redis.llen(KEYS.queue("mail"))


def calls(redis: Redis, command: str) -> int:
    stats: Any = redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def named(redis: Redis) -> int:
    """Return how many connections have the name of this module's."""
    return sum(one["name"] == NAME for one in redis.client_list())


async def sends(outbox: AsyncOutbox, count: int, **terms: Any) -> list[Any]:
    sending = (outbox.send(mail(f"u{number}@example.com"), **terms) for number in range(count))
    return await asyncio.gather(*sending, return_exceptions=True)


@pytest.mark.waitaof
@pytest.mark.parametrize("durable", [False, True])
def test_what_is_sent_in_one_turn_goes_out_together_over_few_connections(
    redis: Redis, redis_url: str, *, durable: bool
) -> None:
    async def story() -> int:
        async with AsyncOutbox(f"{redis_url}?client_name={NAME}", enqueue_timeout=30) as outbox:
            await outbox.send(mail(), durable=durable)
            before = calls(redis, "evalsha")
            receipts = await sends(outbox, 300, durable=durable)
            stands = [job_id.decode() for job_id in redis.lrange(KEYS.queue("mail"), 1, -1)]
            assert [receipt.job_id for receipt in receipts] == stands
            assert 0 < named(redis) <= 2 * CONNECTIONS
            return calls(redis, "evalsha") - before

    assert asyncio.run(story()) <= 10


def test_a_url_that_allows_one_connection_makes_tasks_wait_not_fail(redis: Redis, redis_url: str) -> None:
    async def story() -> None:
        async with AsyncOutbox(f"{redis_url}?max_connections=1", enqueue_timeout=30) as outbox:
            for _ in range(3):
                times = (outbox.server_time() for _ in range(20))
                both = await asyncio.gather(*times, sends(outbox, 20))
                assert not [one for one in both[-1] if isinstance(one, Exception)]

    asyncio.run(story())
    assert length(redis) == 60


def test_each_has_the_conflict_the_duplicate_and_the_refusal_that_is_its_own(
    redis: Redis, redis_url: str
) -> None:
    redis.set(KEYS.job(contract.keyed_job_id("mail", "poisoned")), "of another program's making")

    async def story() -> list[Any]:
        async with AsyncOutbox(redis_url, enqueue_timeout=30) as outbox:
            await outbox.send(mail(), key="stands")
            return await asyncio.gather(
                outbox.send(mail(), key="stands"),
                outbox.send(mail("other@example.com"), key="stands"),
                outbox.send(mail("other@example.com"), key="stands", on_conflict="keep"),
                outbox.send(mail(), key="poisoned"),
                outbox.send(mail(), key="twice"),
                outbox.send(mail(), key="twice"),
                outbox.send(mail()),
                outbox.send_many([mail(), mail()]),
                return_exceptions=True,
            )

    again, conflict, kept, poisoned, *others, alone, many = asyncio.run(story())
    assert again.duplicate
    assert not again.conflict
    assert isinstance(conflict, IdempotencyConflict)
    assert kept.conflict
    assert isinstance(poisoned, OutboxUnavailable)
    assert poisoned.job_ids == (contract.keyed_job_id("mail", "poisoned"),)
    assert "WRONGTYPE" in str(poisoned)
    assert [receipt.duplicate for receipt in others] == [False, True]
    assert [status(redis, one.job_id) for one in (alone, *many)] == ["queued"] * 3
    assert length(redis) == 5


def test_a_server_that_is_away_costs_each_its_own_time_and_its_own_mail(tmp_path: Path) -> None:
    with valkey(tmp_path) as server:
        away = url(server)

    async def story() -> list[Any]:
        async with AsyncOutbox(away, enqueue_timeout=0.3) as outbox:
            return await sends(outbox, 50)

    errors = asyncio.run(story())
    assert {type(error) for error in errors} == {OutboxUnavailable}
    assert len({error.job_ids for error in errors}) == 50
    assert {len(error.job_ids) for error in errors} == {1}


def test_other_tasks_have_their_turns_while_many_are_made(redis: Redis, redis_url: str) -> None:
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def given() -> AsyncIterator[Any]:
        for number in range(700):
            yield mail(f"u{number}@example.com")

    async def story() -> None:
        async with AsyncOutbox(redis_url, enqueue_timeout=30) as outbox:
            await outbox.send(mail())
            other = asyncio.create_task(turning())
            large = [mail(f"u{number}@example.com", text=os.urandom(20_000).hex()) for number in range(40)]
            assert len(await outbox.send_many(large)) == 40
            assert turns > 2
            assert len(await outbox.send_many(given())) == 700
            assert len(await outbox.try_send_many(given(), on_conflict="keep")) == 700
            other.cancel()

    asyncio.run(story())
    assert length(redis) == 1441


# Loops and processes


def test_an_event_loop_after_the_other_has_connections_of_its_own_and_leaves_none(
    redis: Redis, redis_url: str
) -> None:
    outbox = AsyncOutbox(f"{redis_url}?client_name={NAME}", enqueue_timeout=30)

    async def story() -> None:
        await outbox.send(mail())
        assert named(redis) == 1

    for _ in range(3):
        asyncio.run(story())
    gc.collect()  # what is left open warns, and warnings are errors
    wait_for(lambda: not named(redis))
    assert length(redis) == 3


def test_a_loop_that_is_closed_is_let_go(redis: Redis, redis_url: str) -> None:
    outbox = AsyncOutbox(redis_url, enqueue_timeout=30)
    loops = []

    async def story() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await sends(outbox, 2 * CONNECTIONS)

    for _ in range(3):
        asyncio.run(story())
    gc.collect()
    assert [loop() for loop in loops[:2]] == [None, None]


def test_two_loops_at_once_share_an_outbox(redis: Redis, redis_url: str) -> None:
    outbox = AsyncOutbox(redis_url, enqueue_timeout=30)
    met = threading.Barrier(2)

    def run() -> None:
        async def story() -> None:
            await outbox.server_time()
            await asyncio.to_thread(met.wait)
            await sends(outbox, 100)

        asyncio.run(story())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert length(redis) == 200


def test_a_child_that_was_forked_has_connections_of_its_own(redis: Redis, redis_url: str) -> None:
    outbox = AsyncOutbox(redis_url, enqueue_timeout=30)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(outbox.send(mail()))
    pid = os.fork()
    if not pid:
        ended = 1
        try:
            ended = 0 if asyncio.run(outbox.send(mail("child@example.com"))).job_id else 1
        finally:
            os._exit(ended)
    assert os.waitpid(pid, 0)[1] == 0
    loop.run_until_complete(outbox.send(mail()))
    loop.run_until_complete(outbox.aclose())
    loop.close()
    assert length(redis) == 3


def test_it_is_closed_and_opens_anew(redis: Redis, redis_url: str) -> None:
    async def story() -> None:
        outbox = AsyncOutbox(f"{redis_url}?client_name={NAME}", enqueue_timeout=30)
        for _ in range(2):
            sending = asyncio.create_task(outbox.send(mail()))
            await asyncio.sleep(0)
            await outbox.aclose()
            await sending
            await outbox.aclose()
        await asyncio.to_thread(wait_for, lambda: not named(redis))

    asyncio.run(story())
    assert length(redis) == 2


def test_closing_that_is_cancelled_leaves_the_connections_to_be_closed(redis: Redis, redis_url: str) -> None:
    async def story() -> None:
        outbox = AsyncOutbox(f"{redis_url}?client_name={NAME}", enqueue_timeout=30)
        await outbox.send(mail())
        redis.client_pause(30_000, all=False)
        sending = asyncio.create_task(outbox.send(mail()))
        await asyncio.sleep(0)
        closing = asyncio.create_task(outbox.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        redis.client_unpause()
        await sending
        assert closing.cancelled()
        assert named(redis)
        await outbox.aclose()
        await asyncio.to_thread(wait_for, lambda: not named(redis))

    asyncio.run(story())
    assert length(redis) == 2


def test_a_client_that_is_handed_over_is_left_as_it_is(redis: Redis, redis_url: str) -> None:
    async def story() -> None:
        async with AsyncRedis.from_url(redis_url, decode_responses=True) as handed:
            async with (
                AsyncOutbox(handed, enqueue_timeout=30) as by_place,
                AsyncOutbox(connection=handed) as by_name,
            ):
                assert not (await by_place.send(mail(), key="k")).duplicate
                assert (await by_name.send(mail(), key="k")).duplicate
            assert await handed.get("x") is None

    asyncio.run(story())


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Redis]:
    with valkey(tmp_path) as server, client(server) as redis:
        yield redis


def test_both_faces_take_each_others_keys(own: Redis) -> None:
    port = own.connection_pool.connection_kwargs["port"]
    redis_url = f"redis://127.0.0.1:{port}/0"
    first = Outbox(redis_url).send(mail(), key="k")
    outbox = AsyncOutbox(redis_url, enqueue_timeout=30)
    assert asyncio.run(outbox.send(mail(), key="k")).job_id == first.job_id
    with pytest.raises(IdempotencyConflict):
        asyncio.run(outbox.send(mail("other@example.com"), key="k"))


def test_a_connection_that_is_checked_first_still_has_the_time_of_a_large_command(
    redis: Redis, redis_url: str
) -> None:
    async def story() -> float:
        own = ASYNCIO.connect(f"{redis_url}?health_check_interval=1", socket_timeout=5, connect_timeout=5)
        async with own:
            connection: Any = await own.connection_pool.get_connection()
            connection.next_health_check = 0
            pings = calls(redis, "ping")
            await connection.send_command("SET", "x", b"x" * 3_000_000)
            assert await connection.read_response() == b"OK"
            assert calls(redis, "ping") == pings + 1
            await own.connection_pool.release(connection)
            return float(connection.socket_timeout)

    assert asyncio.run(story()) == pytest.approx(patience(5, 3_000_000), abs=1)
