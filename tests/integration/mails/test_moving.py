"""The number of partitions is changed: every mail is moved where it belongs, once, whatever breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from rq_ses import Outbox
from rq_ses.keys import keys_of
from rq_ses.mails import Mails
from rq_ses.mails.moving import MARK, Move, Moved, MoveRefused
from rq_ses.mails.moving import move as module
from rq_ses.partition import partition_of
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.doctor.workers import check_workers
from rq_ses_worker.lifecycle.records import Suspended
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.breaking import lost_at
from support.mails.mail import mail
from support.mails.partitioned import QUEUES, THREE, TWO, client, fill, standing
from support.programs.processes import run, running
from support.waiting import wait_for


@pytest.fixture
def clients(redis_url: str) -> Iterator[list[Redis]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(redis_url, prefix)) for prefix in THREE]


def move(redis_url: str, origins: tuple[str, ...], partitions: tuple[str, ...]) -> Moved:
    with closing(Move(redis_url, origins=origins, partitions=partitions, queues=QUEUES)) as moving:
        return moving.run()


def together(clients: list[Redis]) -> dict[str, Any]:
    """Return all jobs by id, each of which stands under one prefix alone."""
    found: dict[str, Any] = {}
    for jobs in standing(clients).values():
        assert found.keys().isdisjoint(jobs)
        found |= jobs
    return found


def test_every_mail_is_moved_where_it_belongs_and_is_what_it_was(
    redis_url: str, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    ids = fill(redis_url, TWO, 6)
    before = together(clients)
    order = [one.lrange(keys_of(one).queue("mail"), 0, -1) for one in clients]
    assert before.keys() == ids.keys()
    done = move(redis_url, TWO, THREE)
    assert together(clients) == before
    belongs = {job_id: THREE[partition_of(job_id, 3)] for job_id in ids}
    assert {job_id: prefix for prefix, jobs in standing(clients).items() for job_id in jobs} == belongs
    elsewhere = {job_id for job_id in ids if THREE[partition_of(job_id, 2)] != belongs[job_id]}
    assert done == Moved(moved=len(elsewhere))
    # What stays in a queue stands as it stood.
    for one, listed in zip(clients[:2], order, strict=False):
        now = one.lrange(keys_of(one).queue("mail"), 0, -1)
        stayed = [job_id for job_id in listed if job_id in now]
        assert [job_id for job_id in now if job_id in listed] == stayed
    for one in clients:
        assert not one.exists(keys_of(one).suspended)
        for queue in QUEUES:
            assert list(Audit(one, queue, RetryPolicy(), wait=0).run()) == []
    # The keys stand for the mails they stood for.
    outbox = Outbox(redis_url, partitions=THREE)
    for key in ids.values():
        assert outbox.send(mail(), key=key).duplicate == (not key.startswith("canceled"))
    assert move(redis_url, THREE, THREE) == Moved()


def test_a_queue_without_partitions_gets_some_and_loses_them_again(redis: Redis, redis_url: str) -> None:
    ids = fill(redis_url, (), 3)
    with ExitStack() as stack:
        clients = [stack.enter_context(client(redis_url, prefix)) for prefix in ("rq", *TWO)]
        before = together(clients)
        assert move(redis_url, ("rq",), TWO).moved == len(ids)
        assert together(clients[1:]) == before
        assert not standing(clients)["rq"]
        assert move(redis_url, TWO, ()).moved == len(ids)
        assert together(clients[:1]) == before
    assert not redis.keys("{p?}:job:*")


def test_broken_off_anywhere_it_loses_and_doubles_nothing(
    redis_url: str, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 4)
    ids = fill(redis_url, TWO, 2)
    before = together(clients)
    for calls in range(1, 400):
        with lost_at(calls) as commands:
            try:
                done = move(redis_url, TWO, THREE)
            except RedisError:
                done = None
        seen = standing(clients)
        for job_id in ids:
            copies = [jobs[job_id] for jobs in seen.values() if job_id in jobs]
            # In each of its places it stands whole; in two only while nobody claims.
            assert copies
            assert all(copy == before[job_id] for copy in copies)
            assert len(copies) == 1 or all(one.get(keys_of(one).suspended) == MARK for one in clients)
        if done is not None and commands.left > 0:
            break
    assert calls > 30
    assert together(clients) == before
    assert not any(one.exists(keys_of(one).suspended) for one in clients)


def test_nothing_is_claimed_between_a_move_and_the_run_that_ends_it(
    redis_url: str, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(redis_url, TWO, 1)
    with monkeypatch.context() as breaking:
        breaking.setattr(module, "write_copies", _broken)
        with pytest.raises(ConnectionLost):
            move(redis_url, TWO, THREE)
    for one in clients:
        with pytest.raises(Suspended):
            Lifecycle(one, ["mail"], "w", "aaaaaaaa", 30.0).claim(5)
    # Another run that has to be refused leaves it so.
    with monkeypatch.context() as refusing:
        refusing.setattr(module.Move, "_problems", lambda _: iter(["somebody is there"]))
        with pytest.raises(MoveRefused, match="somebody"):
            move(redis_url, TWO, THREE)
    assert all(one.exists(keys_of(one).suspended) for one in clients)
    move(redis_url, TWO, THREE)
    assert not any(one.exists(keys_of(one).suspended) for one in clients)


def _broken(*_: Any) -> Any:
    raise ConnectionLost("broken off")


def test_workers_and_what_they_have_taken_refuse_it(redis_url: str, clients: list[Redis]) -> None:
    fill(redis_url, TWO, 1)
    before = standing(clients)
    one = clients[1]
    keys = keys_of(one)
    one.sadd(keys.workers_at("mail"), keys.worker("w1"))
    one.hset(keys.worker("w1"), mapping={"birth": "2030-01-01T00:00:00.000000Z"})
    with pytest.raises(MoveRefused, match=r"worker w1 is at queue mail under \{p1\}: end it"):
        move(redis_url, TWO, THREE)
    one.delete(keys.worker("w1"))
    outbox = Outbox(redis_url, partitions=TWO)
    job_id = next(
        receipt.job_id for receipt in outbox.send_many([mail()] * 20) if partition_of(receipt.job_id, 2) == 1
    )
    assert job_id
    assert Lifecycle(one, ["mail"], "w", "aaaaaaaa", 30.0).claim(1)[0]
    with pytest.raises(MoveRefused, match=r"under \{p1\} were taken by a worker that has died"):
        move(redis_url, TWO, THREE)
    assert not any(other.exists(keys_of(other).suspended) for other in clients)
    assert standing(clients)["{p0}"].keys() >= before["{p0}"].keys()
    assert not standing(clients)["{p2}"]


def test_a_key_that_stands_for_another_mail_by_now_is_left_to_somebody(
    redis_url: str, clients: list[Redis]
) -> None:
    ids = fill(redis_url, TWO, 6)
    moving = {
        job_id: key for job_id, key in ids.items() if partition_of(job_id, 3) != partition_of(job_id, 2)
    }
    waiting = next(job_id for job_id, key in moving.items() if key.startswith("queued"))
    over = next(job_id for job_id, key in moving.items() if key.startswith("finished"))
    # A producer went on, by the new number, before the mails were moved.
    outbox = Outbox(redis_url, partitions=THREE)
    for job_id in (waiting, over):
        assert not outbox.send(mail(subject="another"), key=moving[job_id]).duplicate
    done = move(redis_url, TWO, THREE)
    old = THREE[partition_of(waiting, 2)]
    assert done.conflicts == [(old, waiting)]
    assert done.over == 1
    assert all(one.get(keys_of(one).suspended) == MARK for one in clients)
    with client(redis_url, old) as one:
        assert Mails(connection=one).cancel(waiting).canceled
    assert move(redis_url, TWO, THREE).conflicts == []
    assert together(clients).keys() == ids.keys()
    assert not any(one.exists(keys_of(one).suspended) for one in clients)


def test_a_mail_that_is_canceled_while_it_is_moved_is_not_sent(
    redis_url: str, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(redis_url, TWO, 6)
    job_id = next(
        job_id
        for job_id, key in ids.items()
        if key.startswith("queued") and partition_of(job_id, 3) != partition_of(job_id, 2)
    )
    writing = module.write_copies

    def cancel_then(*args: Any) -> Any:
        words = writing(*args)
        if job_id.encode() in words and words[job_id.encode()] == "written":
            assert Mails(redis_url, partitions=TWO).cancel(job_id).canceled
        return words

    monkeypatch.setattr(module, "write_copies", cancel_then)
    assert move(redis_url, TWO, THREE).conflicts == [(THREE[partition_of(job_id, 2)], job_id)]
    assert all(one.get(keys_of(one).suspended) == MARK for one in clients)
    assert Mails(redis_url, partitions=THREE).cancel(job_id).canceled
    assert move(redis_url, TWO, THREE).conflicts == []
    assert together(clients)[job_id][0][b"status"] == b"canceled"


def test_whoever_looks_says_that_a_move_broken_off_is_to_be_run_again(
    redis_url: str, clients: list[Redis], worker_env: dict[str, str], tmp_path: Path
) -> None:
    one = clients[0]
    one.set(keys_of(one).suspended, MARK)
    again = "run `rq-ses partitions move` again to its end (don't `rq resume`)"
    env = {**worker_env, "RQ_SES_PARTITIONS": ",".join(TWO)}
    shown = " ".join(run(["status", "--sample", "0"], env).stdout.split())
    assert f"suspended by `rq-ses partitions move`: {again}" in shown
    [held] = [found for found in check_workers(one, QUEUES) if found.id == "workers.suspended"]
    assert "by `rq-ses partitions move`" in held.text
    assert held.remedy == f"let them go on: {again}"
    with running(["worker"], env, tmp_path / "log") as worker:
        wait_for(
            lambda: (
                f"suspended by `rq-ses partitions move`: nothing is claimed; to go on: {again}"
                in worker.output
            )
        )
    one.set(keys_of(one).suspended, 1)
    with running(["worker"], env, tmp_path / "other") as worker:
        wait_for(lambda: "to go on: `RQ_KEY_PREFIX='{p0}' rq resume`" in worker.output)
