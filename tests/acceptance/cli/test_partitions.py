"""Every command that looks at mails, or moves them, works on all partitions of a queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.utils import utcformat

from rq_ses import Outbox, contract
from rq_ses.keys import keys_of
from rq_ses.partition import partition_of
from support.mails.mail import mail
from support.mails.partitioned import QUEUES, TWO, client, fill, standing
from support.programs.processes import environment, run

EACH = 9


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return environment(RQ_SES_REDIS_URL=redis_url, RQ_SES_PARTITIONS=",".join(TWO))


@pytest.fixture
def clients(redis_url: str) -> Iterator[list[Redis]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(redis_url, prefix)) for prefix in TWO]


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def register(one: Redis) -> None:
    """Let a worker be at the queue of a partition, as RQ has it."""
    keys, now = keys_of(one), utcformat(datetime.now(UTC))
    one.sadd(keys.workers, keys.worker("w1"))
    one.sadd(keys.workers_at("mail"), keys.worker("w1"))
    one.hset(keys.worker("w1"), mapping={"birth": now, "last_heartbeat": now, "queues": "mail"})


def test_a_mail_is_sent_found_and_canceled_where_it_belongs(
    env: dict[str, str], clients: list[Redis]
) -> None:
    one = ("--from", "a@example.com", "--to", "b@example.com", "--subject", "Hi", "--text", "Hi")
    for key in ("order-1", "order-4"):
        job_id = run(["send", *one, "--key", key], env).stdout.strip()
        assert job_id == contract.keyed_job_id("mail", key)
        assert job_id in standing(clients)[TWO[partition_of(job_id, 2)]]
        shown = json.loads(run(["show", "--key", key, "--json"], env).stdout)
        assert (shown["status"], shown["partition"]) == ("queued", TWO[partition_of(job_id, 2)])
    assert run(["cancel", "--key", "order-1"], env).returncode == 0
    assert json.loads(run(["show", "--key", "order-1", "--json"], env).stdout)["status"] == "canceled"
    wrong = run(["show", "--key", "order-1"], {**env, "RQ_SES_PARTITIONS": "a,a"})
    assert (wrong.returncode, "RQ_SES_PARTITIONS: 'a' is named twice" in wrong.stderr) == (3, True)


def test_lines_are_checked_and_sent_where_they_belong(
    env: dict[str, str], redis_url: str, clients: list[Redis]
) -> None:
    outbox = Outbox(redis_url, partitions=TWO)
    for number in (3, 4, 5):
        outbox.send(mail(subject="another"), key=f"order-{number}")
    message = {"sender": "a@example.com", "to": ["b@example.com"], "subject": "Hi", "text": "Hi"}
    text = "\n".join(json.dumps({**message, "key": f"order-{number}"}) for number in range(9))
    strict = run(["send", "--jsonl", "-", "--strict"], env, stdin=text)
    assert strict.returncode == 1
    assert [f"line {number + 1}: key" in strict.stderr for number in range(9)] == [
        number in (3, 4, 5) for number in range(9)
    ]
    kept = run(["send", "--jsonl", "-", "--on-conflict", "keep"], env, stdin=text)
    ids = kept.stdout.split()
    assert ids == [contract.keyed_job_id("mail", f"order-{number}") for number in range(9)]
    found = standing(clients)
    assert all(job_id in found[TWO[partition_of(job_id, 2)]] for job_id in ids)
    assert sum(map(len, found.values())) == 9


def test_status_sums_and_has_each_partition_beside_it(
    env: dict[str, str], redis_url: str, clients: list[Redis]
) -> None:
    fill(redis_url, TWO, EACH)
    clients[1].set(keys_of(clients[1]).suspended, 1)
    found = json.loads(run(["status", "--json", "--sample", "0"], env).stdout)
    normal = next(queue for queue in found["queues"] if queue["name"] == "mail")
    counts = {"queued": EACH, "scheduled": EACH, "failed": EACH, "canceled": EACH, "started": 0}
    assert {name: normal[name] for name in counts} == counts
    assert 0 < normal["oldest"] < 600
    assert [part["prefix"] for part in found["partitions"]] == list(TWO)
    assert [part["suspended"] for part in found["partitions"]] == [False, True]
    for name, count in counts.items():
        parts = [
            queue[name] for part in found["partitions"] for queue in part["queues"] if queue["name"] == "mail"
        ]
        assert (sum(parts), len(parts)) == (count, 2)
    register(clients[0])
    shown = run(["status", "--sample", "0"], env).stdout
    assert "in 2 partitions" in shown
    held = "suspended: nothing is claimed in {p1} until `RQ_KEY_PREFIX='{p1}' rq resume`"
    assert held in " ".join(shown.split())
    assert "queue mail in partition {p1} holds" in shown
    assert "queue mail in partition {p0} holds" not in shown
    # One whose key is of another type makes the sum unknown.
    clients[0].delete(keys_of(clients[0]).queue("mail"))
    clients[0].set(keys_of(clients[0]).queue("mail"), "")
    unknown = run(["status", "--json", "--sample", "0"], env)
    assert json.loads(unknown.stdout)["queues"][1]["queued"] is None
    assert (unknown.returncode, "{p0}: queue mail" in unknown.stderr and "WRONGTYPE" in unknown.stderr) == (
        1,
        True,
    )


def test_failed_mails_of_all_partitions_are_shown_resent_discarded_and_restored(
    env: dict[str, str], redis_url: str, clients: list[Redis], tmp_path: Path
) -> None:
    ids = sorted(job_id for job_id, key in fill(redis_url, TWO, EACH).items() if key.startswith("failed"))
    assert {partition_of(job_id, 2) for job_id in ids} == {0, 1}
    before = standing(clients)
    assert [group["count"] for group in lines(run(["failed", "--json"], env).stdout)] == [EACH]
    assert sorted(one["job_id"] for one in lines(run(["failed", "--list", "--json"], env).stdout)) == ids
    for job_id in {partition_of(job_id, 2): job_id for job_id in ids}.values():
        assert json.loads(run(["failed", job_id, "--json"], env).stdout)["job_id"] == job_id
    file = tmp_path / "failed.jsonl"
    assert run(["failed", "--export", str(file)], env).returncode == 0
    assert sorted(one["job_id"] for one in lines(file.read_text())) == ids

    assert json.loads(run(["discard", ids[0], "--yes", "--json"], env).stdout)["discarded"] == 1
    assert json.loads(run(["discard", "--yes", "--json", "--limit", "2"], env).stdout)["discarded"] == 2
    assert run(["import", str(file)], env).returncode == 0
    # Each is back where it was, as far as an export has it.
    after = standing(clients)
    assert {prefix: jobs.keys() for prefix, jobs in after.items()} == {
        prefix: jobs.keys() for prefix, jobs in before.items()
    }
    done = json.loads(run(["resend", "--yes", "--json", "--include-unknown"], env).stdout)
    assert done["resent"] == EACH
    assert run(["failed", "--list", "--json"], env).stdout == ""
    for one, prefix in zip(clients, TWO, strict=True):
        listed = {job_id.decode() for job_id in one.lrange(keys_of(one).queue("mail"), 0, -1)}
        assert {job_id for job_id in ids if TWO[partition_of(job_id, 2)] == prefix} <= listed


def test_audit_repairs_in_every_partition(env: dict[str, str], redis_url: str, clients: list[Redis]) -> None:
    fill(redis_url, TWO, 1)
    outbox = Outbox(redis_url, partitions=TWO)
    sent = [receipt.job_id for receipt in outbox.send_many([mail()] * 12)]
    for one in clients:
        one.delete(keys_of(one).queue("mail"))
    found = lines(run(["audit", "--json", "--wait", "0"], env).stdout)
    assert set(sent) <= {one["job_id"] for one in found}
    assert all(one["partition"] == TWO[partition_of(one["job_id"], 2)] for one in found)
    repaired = run(["audit", "--repair", "--wait", "0"], env)
    assert repaired.returncode == 0
    assert f"{sent[0]} ({TWO[partition_of(sent[0], 2)]}): queued" in repaired.stdout
    for one in clients:
        listed = {job_id.decode() for job_id in one.lrange(keys_of(one).queue("mail"), 0, -1)}
        assert {job_id for job_id in sent if TWO[partition_of(job_id, 2)] == keys_of(one).prefix} <= listed


def test_the_number_of_partitions_is_changed_by_a_command(
    env: dict[str, str], redis: Redis, redis_url: str, clients: list[Redis]
) -> None:
    ids = fill(redis_url, (), 2)
    assert not any(standing(clients).values())
    taken = run(["partitions", "move", "--from", "rq", "--json"], env)
    assert json.loads(taken.stdout) == {"moved": len(ids), "over": 0, "conflicts": [], "campaigns": 0}
    assert f"{len(ids)} mails moved" in taken.stderr
    assert not [key for queue in QUEUES for key in redis.keys(f"rq:*:{queue}")]
    assert run(["show", "--key", "queued-0"], env).returncode == 0
    register(clients[0])
    refused = run(["partitions", "move", "--from", "{p0},{p1}"], env)
    assert refused.returncode == 1
    assert "Error: worker w1 is at queue mail under {p0}: end it" in refused.stderr
    assert "'a b' can't be used" in run(["partitions", "move", "--from", "a b"], env).stderr


def test_mails_in_the_wrong_partition_are_found_by_audit_and_moved_whatever_from_says(
    env: dict[str, str], redis_url: str, clients: list[Redis]
) -> None:
    job_id = contract.keyed_job_id("mail", "order-1")
    home = partition_of(job_id, 2)
    wrong, right = TWO[1 - home], TWO[home]
    Outbox(connection=clients[1 - home]).send(mail(), key="order-1")
    found = run(["audit", "--repair", "--wait", "0"], env)
    assert (found.returncode, found.stdout) == (1, f"{job_id} ({wrong}): belongs to partition {right}\n")
    assert "1 belongs to another partition: rq-ses partitions move --from '{p0},{p1}'" in found.stderr
    assert "stands where it belongs" not in found.stderr
    moved = run(["partitions", "move", "--from", "{P1}"], env)
    assert "nothing of queue mail stands under {P1}: is it spelt right?" in moved.stderr
    assert "1 mail moved" in moved.stderr
    assert {prefix: list(jobs) for prefix, jobs in standing(clients).items()} == {wrong: [], right: [job_id]}
    done = run(["audit", "--wait", "0"], env)
    assert (done.returncode, done.stdout) == (0, "")
    assert "spelt" not in run(["partitions", "move", "--from", ",".join(TWO)], env).stderr


def test_a_move_says_what_was_dropped_and_what_is_to_be_canceled(
    env: dict[str, str], redis_url: str, clients: list[Redis]
) -> None:
    ids = {key: contract.keyed_job_id("mail", key) for key in fill(redis_url, (), 1).values()}
    outbox = Outbox(redis_url, partitions=TWO)
    for key in ("finished-0", "queued-0"):
        outbox.send(mail(subject="another"), key=key)
    left = run(["partitions", "move", "--from", "rq"], env)
    assert left.returncode == 1
    assert "; 1 had ended and was dropped, its key stands for another mail now" in left.stderr
    command = f"RQ_SES_PARTITIONS= RQ_KEY_PREFIX=rq rq-ses cancel {ids['queued-0']}"
    assert command in left.stderr
    assert (
        run(["cancel", ids["queued-0"]], {**env, "RQ_SES_PARTITIONS": "", "RQ_KEY_PREFIX": "rq"}).returncode
        == 0
    )
    assert run(["partitions", "move", "--from", "rq"], env).returncode == 0
    assert " 1 " in run(["partitions", "--help"], env).stdout.partition("Exit codes:")[2]


@pytest.mark.parametrize(
    "command", [["status", "--sample", "0"], ["failed"], ["audit"], ["resend", "--yes"], ["health"]]
)
def test_a_partition_that_refuses_is_named(
    env: dict[str, str], redis: Redis, clients: list[Redis], command: list[str]
) -> None:
    register(clients[0])
    clients[0].hset(keys_of(clients[0]).worker("w1"), "hostname", "here")
    redis.execute_command("ACL", "SETUSER", "half", "on", ">word", "~{p0}:*", "~rq:*", "&*", "+@all")
    try:
        url = env["RQ_SES_REDIS_URL"].replace("redis://", "redis://half:word@")
        host = ["--host", "here"] if command == ["health"] else []
        done = run([*command, *host], {**env, "RQ_SES_REDIS_URL": url})
    finally:
        redis.execute_command("ACL", "DELUSER", "half")
    assert "{p1}" in done.stderr
    assert "{p0}" not in done.stderr


def test_health_says_what_is_to_be_done(env: dict[str, str]) -> None:
    done = run(["health", "--host", "here"], env)
    assert done.returncode == 1
    missed = "Error: partition {p0}: no worker of host here is registered"
    assert f"{missed}: start `rq-ses worker`, or name another by --host" in done.stderr
