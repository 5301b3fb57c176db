"""Valkey killed, away, slow, its connections cut, its answers lost: no mail is lost, and none goes twice."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.accounting import Accounting
from support.mails.mail import mail, status
from support.programs.fleet import Fleet
from support.servers.durable import DurableValkey
from support.servers.proxy import LossyProxy
from support.waiting import wait_for

AWAY = float(os.environ.get("RQ_SES_FAULT_AWAY", "8"))
"""Seconds for which Valkey is away: longer than the workers' lease, and than a socket's time-out."""

STORIES = ["slow-0.02", "slow-0.2", "503", "none"]


@contextmanager
def producing(accounting: Accounting, outbox: Outbox, chance: random.Random) -> Iterator[None]:
    """Enqueue a load, and then mail by mail while the block runs."""
    accounting.enqueue(outbox, 200)
    over = threading.Event()

    def produce() -> None:
        while not over.is_set() and len(accounting.addresses) < 600:
            accounting.enqueue(outbox, 1, chance.choice(STORIES))
            over.wait(0.005)

    with ThreadPoolExecutor() as threads:
        producer = threads.submit(produce)
        try:
            yield
        finally:
            over.set()
        producer.result(30)


def assert_each_was_sent_once(accounting: Accounting, workers: Fleet, within: float = 30) -> None:
    wait_for(accounting.ended, within=within)
    books = accounting.check()
    assert books.having("failed") == set()
    assert books.doubled == set()
    assert workers.all_running()


def test_no_acknowledged_mail_is_lost_when_valkey_is_killed_and_restarted(
    server: DurableValkey, outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    workers.started("a")
    workers.started("b")
    with producing(accounting, outbox, chance):
        for _ in range(4):
            time.sleep(chance.uniform(0.2, 0.8))
            server.kill()
            server.start()
    assert len(accounting.addresses) > 220
    assert_each_was_sent_once(accounting, workers)


def test_outcomes_that_are_reached_while_valkey_is_away_are_settled_when_it_is_back(
    server: DurableValkey,
    redis: Redis,
    ses: SimulatorServer,
    outbox: Outbox,
    accounting: Accounting,
    workers: Fleet,
) -> None:
    workers.started("a")
    workers.started("b")
    accounting.enqueue(outbox, 100, "slow-0.5")
    wait_for(lambda: len(ses.mails) > 40)
    server.kill()
    time.sleep(AWAY)
    accepted = len(ses.mails)
    assert workers.all_running()
    server.start()
    wait_for(lambda: redis.zcard("rq:finished:mail") >= accepted)
    assert_each_was_sent_once(accounting, workers)
    wait_for(lambda: workers.output.count("Redis is back") >= 2)


def test_a_valkey_that_is_slower_than_the_sockets_time_out_loses_nothing(
    server: DurableValkey, outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    workers.started("a", "--lease", "12")
    workers.started("b", "--lease", "12")
    with producing(accounting, outbox, chance):
        time.sleep(0.5)
        server.pause(6.0)
        time.sleep(0.2)
    assert_each_was_sent_once(accounting, workers)
    assert "Redis is away" in workers.output


def test_a_valkey_that_is_slower_than_the_lease_makes_no_second_mail(
    server: DurableValkey, outbox: Outbox, accounting: Accounting, workers: Fleet
) -> None:
    workers.started("a")
    workers.started("b")
    accounting.enqueue(outbox, 100, "slow-0.5")
    time.sleep(0.7)
    server.pause(4.0)
    assert_each_was_sent_once(accounting, workers)


def test_connections_that_are_cut_again_and_again_lose_nothing(
    server: DurableValkey, outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    workers.started("a")
    workers.started("b")
    with producing(accounting, outbox, chance):
        for _ in range(25):
            server.cut_connections()
            time.sleep(chance.uniform(0.01, 0.2))
    assert len(accounting.addresses) > 220
    assert_each_was_sent_once(accounting, workers)


def test_replies_that_are_lost_on_their_way_to_a_worker_lose_nothing(
    server: DurableValkey, outbox: Outbox, accounting: Accounting, workers: Fleet, chance: random.Random
) -> None:
    with LossyProxy(server.port) as proxy:
        workers.env["RQ_SES_REDIS_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
        workers.started("a")
        workers.started("b")
        accounting.enqueue(outbox, 300)
        for _ in range(5):
            time.sleep(chance.uniform(0.1, 0.4))
            proxy.lose_replies(True)
            time.sleep(chance.uniform(0.1, 0.6))
            proxy.lose_replies(False)
        assert proxy.lost
        assert_each_was_sent_once(accounting, workers)


def test_replies_that_are_lost_on_their_way_to_a_producer_double_nothing(
    server: DurableValkey,
    redis: Redis,
    ses: SimulatorServer,
    accounting: Accounting,
    workers: Fleet,
    chance: random.Random,
) -> None:
    workers.started("a")
    with LossyProxy(server.port) as proxy, Outbox(f"redis://127.0.0.1:{proxy.port}/0").connection as client:
        losing = threading.Event()
        outbox = Outbox(client, enqueue_timeout=30)  # each try may meet the next loss

        def lose() -> None:
            while True:
                time.sleep(chance.uniform(0.02, 0.06))
                proxy.lose_replies(False)
                if losing.wait(chance.uniform(0.02, 0.06)):
                    return
                proxy.lose_replies(True)

        proxy.lose_replies(True)  # from the first call on: all of them may be through in 50 ms
        thread = threading.Thread(target=lose)
        thread.start()
        try:
            for _ in range(30):
                accounting.enqueue(outbox, 1)
            for _ in range(10):
                accounting.enqueue(outbox, 20)
            for n in range(20):
                address = accounting.address("none")
                receipt = outbox.send(mail(address), key=f"order-{n}")
                assert not receipt.duplicate
                accounting.add(receipt.job_id, address)
        finally:
            losing.set()
            thread.join()
        assert proxy.lost
    assert_each_was_sent_once(accounting, workers)
    assert len(ses.mails) == len(accounting.addresses) == 250
    assert len(redis.keys("rq:job:*")) == 250


def test_a_lost_reply_doubles_nothing_even_if_the_mail_is_sent_and_no_receipt_is_wanted(
    server: DurableValkey, redis: Redis, ses: SimulatorServer, workers: Fleet
) -> None:
    workers.started("a")
    with LossyProxy(server.port) as proxy, ThreadPoolExecutor() as threads:
        outbox = Outbox(f"redis://127.0.0.1:{proxy.port}/0", result_ttl=0)
        first = outbox.send(mail())  # connected, and the script is loaded
        wait_for(lambda: status(redis, first.job_id) == "finished")
        proxy.lose_replies(True)
        sending = threads.submit(outbox.send, mail())
        wait_for(lambda: redis.zcard("rq:finished:mail") == 2)
        proxy.lose_replies(False)
        receipt = sending.result(15)
    assert not receipt.duplicate
    wait_for(lambda: status(redis, receipt.job_id) == "finished")
    assert redis.zcard("rq:finished:mail") == 2
    assert len(ses.mails) == 2
