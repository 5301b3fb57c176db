"""What stands in one slot of a cluster is used as on a single server: by us, by RQ and by rq-dashboard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions as redis_errors
from redis.crc import key_slot

from rq_ses import Outbox, OutboxUnavailable, Submission
from rq_ses.cli.terminal.exits import DENIED, UNAVAILABLE, UNFIT
from rq_ses.keys import Keys
from rq_ses.mails import Mails
from rq_ses.partition import partition_of
from rq_ses.server.connection import connect
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.pages.documents import DOCS, blocks
from support.pages.story import story
from support.programs import every_script
from support.programs.dashboard import rq_dashboard
from support.programs.processes import PATIENCE, run
from support.servers.cluster import PREFIX, SLOT, Cluster

TESTS = str(Path(__file__).parents[2])
SEND = ["send", "--from", "a@example.com", "--to", "b@example.com", "--subject", "s", "--text", "t"]


READ = """
import sys
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
connection = Redis.from_url(sys.argv[1])
print(Job.fetch(sys.argv[2], connection=connection, serializer=JSONSerializer).get_status().value)
print(len(Queue("mail", connection=connection).finished_job_registry))
"""
"""RQ's own classes, at the owner."""


def python(arguments: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**env, "PYTHONPATH": TESTS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_script_keeps_to_one_slot_and_is_refused_as_a_whole_while_that_moves(
    nodes: Cluster, env: dict[str, str]
) -> None:
    calls: dict[str, Any] = json.loads(python(["-m", "support.programs.every_script", nodes.url], env))
    assert calls.keys() == every_script.script_files().keys()
    source = nodes.owner()
    target = next(node for node in nodes.primaries() if node is not source)
    here = nodes.client(source)
    nodes.begin_move(source, target)
    # All keys are here still, but for the one that never stands.
    try:
        before = {key: here.dump(key) for key in here.scan_iter("*")}
        for name, call in calls.items():
            assert f"{PREFIX}:ses:scratch" in call["keys"], name
            assert {key_slot(key.encode("latin-1")) for key in call["keys"]} == {SLOT}, name
            words = [word.encode("latin-1") for word in (*call["keys"], *call["args"])]
            with pytest.raises((redis_errors.TryAgainError, redis_errors.AskError)):
                here.evalsha(call["sha"], len(call["keys"]), *words)
        assert {key: here.dump(key) for key in here.scan_iter("*")} == before
    finally:
        nodes.stay()


def test_a_client_goes_to_the_owner_of_its_own_keys(nodes: Cluster) -> None:
    owners = set()
    for prefix in ("{mail0}", "{mail1}", "{mail2}", "{mail3}"):
        keys = Keys(prefix)
        with connect(nodes.url, socket_timeout=5, connect_timeout=5, keys=keys) as connection:
            assert connection.set(keys.durable, "", ex=60)
            owners.add(connection.client_info()["laddr"])  # type: ignore[index]
    assert len(owners) > 1


def test_the_partitions_of_a_queue_are_with_several_owners_and_are_worked_on_together(
    nodes: Cluster, env: dict[str, str], ses: SimulatorServer
) -> None:
    four = ["{mail0}", "{mail1}", "{mail2}", "{mail3}"]
    env = {**env, "RQ_SES_PARTITIONS": ",".join(four)}
    outbox = Outbox(nodes.url, partitions=four, durable_replicas=1)
    receipts = outbox.send_many([Submission(mail(), key=f"k{n}") for n in range(24)], durable=True)
    assert len({one.client_info()["laddr"] for one in outbox.connections}) > 1  # type: ignore[index]
    for receipt in receipts:
        keys = Keys(four[partition_of(receipt.job_id, 4)])
        assert outbox.connections[partition_of(receipt.job_id, 4)].exists(keys.job(receipt.job_id))
    assert Mails(nodes.url, partitions=four).cancel(key="k0").canceled
    done = run(["worker", "--burst"], env)
    assert (done.returncode, len(ses.mails)) == (0, 23), done.stderr
    shown = json.loads(run(["status", "--json", "--sample", "0"], env).stdout)
    assert [queue["queued"] for queue in shown["queues"]] == [0, 0, 0]
    # Fewer, in another order, on other nodes: receipts and keys are where they are looked for.
    two = {**env, "RQ_SES_PARTITIONS": "{mail3},{mail1}"}
    moved = run(["partitions", "move", "--from", ",".join(four)], two)
    assert moved.returncode == 0, moved.stderr
    again = Outbox(nodes.url, partitions="{mail3},{mail1}")
    assert all(again.send(mail(), key=f"k{n}").duplicate for n in range(1, 24))
    assert json.loads(run(["show", "--key", "k0", "--json"], two).stdout)["status"] == "canceled"


def test_a_durable_mail_is_confirmed_on_the_connection_that_has_written_it(
    nodes: Cluster, env: dict[str, str]
) -> None:
    with nodes.writer().monitor() as monitor:
        sent = run([*SEND, "--durable"], {**env, "RQ_SES_DURABLE_REPLICAS": "1"})
        assert sent.returncode == 0, sent.stderr
        by_command: dict[str, set[str]] = {}
        for seen in monitor.listen():
            command = seen["command"].split()[0].upper()
            if seen["client_type"] != "lua":
                by_command.setdefault(command, set()).add(f"{seen['client_address']}:{seen['client_port']}")
            if command == "WAITAOF" and "WAIT" in by_command:
                break
    [writer] = by_command["WAIT"]
    assert writer in by_command["EVALSHA"] & by_command["SET"] & by_command["WAITAOF"]


def test_commands_and_the_tools_of_rq_read_the_queue(
    nodes: Cluster, env: dict[str, str], ses: SimulatorServer, tmp_path: Path
) -> None:
    sent = run(SEND, env)
    assert sent.returncode == 0, sent.stderr
    owner = nodes.owner_url()
    info = python(["-m", "rq.cli", "info", "--raw", "--url", owner], env)
    assert "queue mail 1" in info
    other = next(node for node in nodes.primaries() if node is not nodes.owner())
    elsewhere = [sys.executable, "-m", "rq.cli", "info", "--url", f"redis://127.0.0.1:{other.port}"]
    lost = subprocess.run(elsewhere, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    moved = f"redis.exceptions.MovedError: {SLOT} 127.0.0.1:{nodes.owner().port}"
    assert (lost.returncode, lost.stderr.splitlines()[-1]) == (1, moved)
    with rq_dashboard(owner, tmp_path, RQ_KEY_PREFIX=PREFIX) as dashboard:
        assert {queue["name"]: queue["count"] for queue in dashboard.data("queues")["queues"]} == {"mail": 1}
        [job] = dashboard.data("jobs/mail/queued/8/asc/1")["jobs"]
        assert job["id"] == sent.stdout.strip()
    doctor = run(["doctor", "--json"], env)
    found = {one["id"]: one for one in json.loads(doctor.stdout)["findings"]}
    assert found["redis.mode"]["text"] == f"cluster mode, all keys in slot {SLOT}"
    assert found["redis.acl"]["severity"] == "ok"
    worked = run(["worker", "--burst"], env)
    assert worked.returncode == 0, worked.stderr
    assert len(ses.mails) == 1
    for command in (
        ["status", "--json"],
        ["audit"],
        ["failed", "--json"],
        ["show", sent.stdout.strip()],
    ):
        done = run(command, env)
        assert done.returncode == 0, done.stderr
    assert python(["-c", READ, owner, sent.stdout.strip()], env).split() == ["finished", "1"]


def test_without_a_hash_tag_nothing_begins_and_the_remedy_is_told(
    nodes: Cluster, env: dict[str, str]
) -> None:
    remedy = "set RQ_KEY_PREFIX='{mail}' for apps, workers, rq and rq-dashboard alike"
    for url in (nodes.url, f"redis://127.0.0.1:{nodes.nodes[0].port}"):
        untagged = {**env, "RQ_SES_REDIS_URL": url, "RQ_KEY_PREFIX": "rq"}
        for mode in ("refuse", "off"):
            refused = run(["worker", "--burst"], {**untagged, "RQ_SES_PREFLIGHT": mode})
            assert refused.returncode == UNFIT, refused.stderr
            assert remedy in refused.stderr
            assert "RQ_SES_PREFLIGHT" not in refused.stderr
        looked = run(["status", "--sample", "0"], untagged)
        assert (looked.returncode, looked.stderr.count(remedy)) == (UNAVAILABLE, 1), looked.stderr
        with pytest.raises(OutboxUnavailable) as caught:
            Outbox(url, enqueue_timeout=60).send(mail())
        assert remedy in caught.value.remedy
        assert caught.value.waited < 5


def test_partitions_without_a_hash_tag_are_told_of_theirs(nodes: Cluster, env: dict[str, str]) -> None:
    untagged = {**env, "RQ_SES_PARTITIONS": "mail0,mail1"}
    for command in (["worker", "--burst"], ["status"], SEND, ["doctor"]):
        refused = run(command, untagged)
        assert refused.returncode in (UNFIT, UNAVAILABLE), command
        said = refused.stderr + " ".join(refused.stdout.split())
        assert "give each partition a tag of its own: RQ_SES_PARTITIONS='{mail0},{mail1}'" in said, command
        assert "set RQ_KEY_PREFIX" not in said, command


def test_a_client_of_one_node_waits_and_is_told_of_the_url_that_follows_the_owner(
    nodes: Cluster, env: dict[str, str]
) -> None:
    other = next(node for node in nodes.primaries() if node is not nodes.owner())
    url = f"redis://127.0.0.1:{other.port}"
    sent = run(SEND, {**env, "RQ_SES_REDIS_URL": url, "RQ_SES_ENQUEUE_TIMEOUT": "0.3"})
    looked = run(["status", "--sample", "0"], {**env, "RQ_SES_REDIS_URL": url})
    for said in (sent.stderr, looked.stderr):
        assert said.count("redis+cluster://host:port,host:port, which follows it") == 1
        assert "MovedError" in said
    lost = run(["doctor"], {**env, "RQ_SES_REDIS_URL": url})
    assert "answers, but refuses (MovedError" in " ".join(lost.stdout.split())
    warned = run(["doctor", "--json"], {**env, "RQ_SES_REDIS_URL": nodes.owner_url()})
    [finding] = [
        one
        for one in json.loads(warned.stdout)["findings"]
        if one["id"] == "redis.mode" and one["severity"] == "warning"
    ]
    assert "redis+cluster://" in finding["remedy"]


def test_the_how_to_of_a_cluster_does_what_it_says(
    nodes: Cluster, env: dict[str, str], ses: SimulatorServer, tmp_path: Path
) -> None:
    page = (DOCS / "how-to" / "cluster.md").read_text()
    owner = nodes.owner()
    others = [node for node in nodes.nodes if node is not owner]
    ports = {"7001": owner.port, "7002": others[0].port, "7003": others[1].port, "6379": owner.port}
    with story(tmp_path, env, ports) as told:
        for block in blocks(page, "console"):
            if "pytest" not in block.text:
                told.run(block)
    assert len(ses.mails) == 1
    [users] = blocks(page, "conf")
    for node in nodes.nodes:
        for line in users.text.splitlines():
            nodes.client(node).execute_command("ACL SETUSER", *line.split()[1:])
    app, worker = (nodes.url.replace("://", f"://{user}:change-me-{user}@") for user in ("app", "worker"))
    sent = run([*SEND, "--durable"], {**env, "RQ_SES_REDIS_URL": app})
    assert sent.returncode == 0, sent.stderr
    worked = run(["worker", "--burst"], {**env, "RQ_SES_REDIS_URL": worker})
    assert worked.returncode == 0, worked.stderr
    assert "may not" not in worked.stderr
    assert len(ses.mails) == 2


def test_a_user_that_may_not_ask_for_the_slots_is_told_of_the_right(
    nodes: Cluster, env: dict[str, str]
) -> None:
    for node in nodes.nodes:
        nodes.client(node).execute_command(
            "ACL SETUSER", "blind", "on", ">pw", "~*", "&*", "+@all", "-cluster|slots"
        )
    blind = {**env, "RQ_SES_REDIS_URL": nodes.url.replace("://", "://blind:pw@")}
    sent = run(SEND, blind)
    assert "ACL SETUSER ... +cluster|slots" in sent.stderr
    worked = run(["worker", "--burst"], {**blind, "RQ_SES_PREFLIGHT": "off"})
    assert worked.returncode == DENIED
    assert "+cluster|slots" in worked.stderr
