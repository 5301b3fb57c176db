"""One gate over the partitions of a queue: what all of their workers together may send."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses import Outbox
from rq_ses.gate import close_breaker, open_breaker
from rq_ses.keys import Keys
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.account.grants import KEEP, Grants
from rq_ses_worker.engine.claiming.partition import PartitionLifecycle
from rq_ses_worker.lifecycle.records import Claim, Suspended
from rq_ses_worker.server.connection import connect
from support.mails.gate import BUSY, PAUSED, QUEUES, SENT, Story, learn
from support.mails.mail import mail
from support.servers.ports import free_port
from support.waiting import wait_for

PREFIXES = ("{mail0}", "{mail1}", "{mail2}", "{mail3}")


class Fleet(Story):
    """Four partitions, with a worker each, and the gate of all."""

    def __init__(self, redis: Redis, url: str) -> None:
        super().__init__(redis)
        self.clients = [connect(url, Keys(prefix)) for prefix in PREFIXES]
        self.workers = [self.at(place, f"{place}" * 8) for place in range(len(PREFIXES))]
        self.other = self.workers[1]

    def at(self, place: int, name: str, gate_at: Redis | None = None) -> PartitionLifecycle:
        """Return another worker of a partition."""
        grants = Grants(gate_at or self.redis, GatePolicy(region="eu-west-1"), 30.0)
        return PartitionLifecycle(self.clients[place], QUEUES, name, name, 30.0, grants)

    def fill(self, *counts: int, recipients: int = 1) -> None:
        """Enqueue so many mails in each partition."""
        copies = [f"c{n}@example.com" for n in range(recipients - 1)]
        for client, count in zip(self.clients, counts, strict=False):
            Outbox(connection=client).send_many([mail(cc=copies)] * count)

    def queued(self, place: int) -> int:
        return int(self.clients[place].llen(Keys(PREFIXES[place]).queue("mail")))

    def claims(self, wanted: int = 16) -> list[list[Claim]]:
        return [worker.claim(wanted)[0] for worker in self.workers]

    def opens(self, place: int = 0) -> Sequence[Claim]:
        """Let the account be paused, as a mail of that partition learns."""
        claims, _ = self.workers[place].claim(1)
        self.end(claims, PAUSED, worker=self.workers[place])
        assert self.gate.breaker == "open"
        return claims


@pytest.fixture
def fleet(redis: Redis, redis_url: str) -> Fleet:
    return Fleet(redis, redis_url)


# The rate


@pytest.mark.parametrize("recipients", [1, 7])
def test_no_second_sends_more_than_the_rate_and_none_of_it_is_left(fleet: Fleet, recipients: int) -> None:
    rate, step, steps, within = 200.0, 0.05, 60, 20
    learn(fleet.ours, rate)
    fleet.fill(*[800 // recipients] * 4, recipients=recipients)
    fleet.claims()
    sent: list[int] = []
    spent: list[float] = []
    for _ in range(steps):
        began = time.monotonic()
        fleet.passes(step)
        sent.append(recipients * sum(map(len, fleet.claims())))
        spent.append(step + time.monotonic() - began)
    burst, heaviest = rate / 10, 4 * recipients
    for at in range(steps - within):
        window = slice(at, at + within)
        assert sum(sent[window]) <= rate * sum(spent[window]) + burst + heaviest
    assert sum(sent) >= 0.95 * rate * step * steps
    assert min(fleet.queued(place) for place in range(4)) < 800 // recipients - 20, "none is left out"


def test_a_partition_without_mails_takes_nothing_from_others(fleet: Fleet) -> None:
    learn(fleet.ours, 100.0)
    fleet.fill(30)
    for worker in fleet.workers[1:]:
        assert worker.claim(16) == ([], 0)
        assert not worker.view.waiting
    assert len(fleet.workers[0].claim(16)[0]) >= 10
    assert fleet.gate.claimed == 30 - fleet.queued(0)


def test_a_partition_that_is_suspended_gives_back_what_it_holds_and_asks_for_no_more(fleet: Fleet) -> None:
    learn(fleet.ours, 100.0)
    fleet.fill(30)
    assert len(fleet.workers[0].claim(2)[0]) == 2
    fleet.passes(1.0)
    fleet.clients[0].set(Keys(PREFIXES[0]).suspended, 1)

    def nothing_is_held() -> bool:
        with pytest.raises(Suspended):
            fleet.workers[0].claim(16)
        return fleet.gate.claimed == 2

    assert not nothing_is_held(), "it held that mails wait"
    wait_for(nothing_is_held, within=4 * KEEP)
    fleet.passes(1.0)
    assert nothing_is_held()


def test_tokens_that_found_no_mail_go_back(fleet: Fleet) -> None:
    learn(fleet.ours, 100.0, quota=1000.0)
    ours, rival = fleet.workers[0], fleet.at(0, "rrrrrrrr")
    fleet.fill(20)
    taken = len(ours.claim(2)[0])
    fleet.passes(1.0)
    for _ in range(3):
        taken += len(rival.claim(20)[0])
        fleet.passes(1.0)
    assert taken == 20
    assert ours.claim(10) == ([], 0), "it held that mails wait"
    assert fleet.gate.claimed == 30
    # Nobody comes to claim for it but itself.
    wait_for(lambda: ours.claim(10) == ([], 0) and fleet.gate.claimed == 20, within=4 * KEEP)
    assert fleet.gate.quota_left == 980


def test_a_worker_that_ends_gives_back_what_it_holds_and_a_dead_one_loses_no_mail(fleet: Fleet) -> None:
    learn(fleet.ours, 100.0)
    ours, rival = fleet.workers[0], fleet.at(0, "rrrrrrrr")
    fleet.fill(6)
    assert len(ours.claim(1)[0]) == 1
    fleet.passes(1.0)
    assert ours._ask(10)  # and dies, or is told to end
    assert fleet.gate.claimed == 6
    fleet.passes(1.0)
    assert len(rival.claim(10)[0]) == 5
    ours.leave()
    assert fleet.gate.claimed == 6


# The day


def test_the_day_is_shared_to_the_last_recipient(fleet: Fleet) -> None:
    learn(fleet.ours, 1e6, quota=100.0, sent=70.0)
    fleet.fill(20, 20, 20, 20)
    assert sum(map(len, fleet.claims() + fleet.claims())) == 30
    assert fleet.gate.quota_left == 0
    assert {(worker.view.refusal, worker.view.waiting) for worker in fleet.workers} == {("quota", True)}
    learn(fleet.ours, 1e6, quota=100.0, sent=60.0)
    assert sum(map(len, fleet.claims())) == 10


def test_a_mail_that_is_too_heavy_for_the_day_leaves_it_to_the_others(fleet: Fleet) -> None:
    learn(fleet.ours, 1e6, quota=100.0, sent=80.0)
    fleet.fill(1, recipients=50)
    assert fleet.workers[0].claim(16) == ([], 0)
    assert (fleet.workers[0].view.refusal, fleet.workers[0].view.waiting) == ("quota", True)
    fleet.fill(0, 30)
    assert len(fleet.workers[1].claim(30)[0]) == 20


# The breaker


def test_one_word_stops_all_partitions_and_one_probe_alone_goes_out(fleet: Fleet) -> None:
    fleet.fill(5, 5, 5, 5)
    before = fleet.claims(1)
    failed = fleet.opens()
    assert fleet.claims() == [[], [], [], []]
    assert {worker.view.refusal for worker in fleet.workers} == {"open"}
    # What was under way tells nothing new.
    for worker, claims in zip(fleet.workers, before, strict=True):
        fleet.end(claims, PAUSED, worker=worker)
    assert fleet.gate.openings == 1
    fleet.probe_is_due()
    taken: list[Claim] = []
    start = threading.Barrier(4)

    def race(worker: PartitionLifecycle) -> None:
        start.wait()
        taken.extend(worker.claim(5)[0])

    threads = [threading.Thread(target=race, args=(worker,)) for worker in fleet.workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [probe] = taken
    assert probe.probe
    assert probe.lease.job_id != failed[0].lease.job_id
    assert (fleet.gate.breaker, fleet.gate.probe) == ("half-open", probe.lease.job_id)
    [prober] = [worker for worker in fleet.workers if worker.view.refusal == "probe"]
    fleet.end([probe], SENT, worker=prober)
    assert fleet.gate.breaker == "closed"
    assert min(map(len, fleet.claims())) > 0


def test_failures_of_all_partitions_count_in_one_row(fleet: Fleet) -> None:
    fleet.fill(5, 5, 5, 5)
    for _ in range(2):
        for worker in fleet.workers:
            claims, _ = worker.claim(1)
            fleet.end(claims, BUSY, worker=worker)
    gate = fleet.gate
    assert (gate.breaker, gate.openings) == ("open", 1)
    assert gate.reason.startswith("8 failures in a row")


def test_a_probe_that_finds_no_mail_is_left_to_another_partition(fleet: Fleet) -> None:
    fleet.fill(3, 3)
    fleet.opens()
    assert fleet.claims() == [[], [], [], []]
    fleet.clients[0].delete(Keys(PREFIXES[0]).queue("mail"))
    fleet.probe_is_due()
    assert fleet.workers[0].claim(5) == ([], 0)
    assert fleet.gate.breaker == "open"
    assert fleet.workers[1].claim(5)[0][0].probe


def test_a_hand_stops_and_starts_all(fleet: Fleet) -> None:
    fleet.fill(3, 3, 3, 3)
    open_breaker(fleet.redis, "default", "eu-west-1", "wrong prices")
    assert fleet.claims() == [[], [], [], []]
    assert {worker.view.refusal for worker in fleet.workers} == {"manual"}
    close_breaker(fleet.redis, "default", "eu-west-1")
    assert list(map(len, fleet.claims())) == [3, 3, 3, 3]


# The way to the gate


def test_without_the_gate_nothing_is_claimed_and_everything_settled(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.fill(3)
    claims, _ = fleet.workers[0].claim(2)
    away = fleet.at(0, "aaaaaaaa", connect(f"redis://127.0.0.1:{free_port()}/0"))
    with pytest.raises(ConnectionLost):
        away.claim(2)
    assert fleet.queued(0) == 1
    assert fleet.end(claims, SENT, PAUSED, worker=away) == ["done", "done"]
    assert "can't learn how attempts ended" in caplog.text
    assert fleet.queued(0) == 2
