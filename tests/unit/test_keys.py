"""Keys of RQ's are RQ's own under any prefix, and a client carries those it works under."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields

import pytest
from fakeredis import FakeRedis
from redis import Redis
from redis.sentinel import Sentinel

import rq_ses
from rq_ses.keys import Keys, carry, keys_of
from rq_ses.server.connection import borrowed, connect, own_client
from support.programs.processes import PATIENCE, environment

OURS = Keys("{mail}")
WAITS = {"socket_timeout": 1.0, "connect_timeout": 1.0}

RQS = """\
import json
from redis import Redis
from rq import Queue
from rq.executions import Execution, ExecutionRegistry
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.registry import *
from rq.results import Result
from rq.suspension import WORKERS_SUSPENDED
from rq.worker import BaseWorker
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

connection = Redis(port=1)
queue = Queue("mail", connection=connection)
execution = Execution("e", "j", connection)
print(json.dumps({
    "job": Job.key_for("j"),
    "execution": execution.key,
    "executions": ExecutionRegistry("j", connection).key,
    "results": Result.get_key("j"),
    "worker": BaseWorker.redis_worker_namespace_prefix + "w",
    "workers": REDIS_WORKER_KEYS,
    "workers_at": WORKERS_BY_QUEUE_KEY % "mail",
    "queues": Queue.redis_queues_keys,
    "queue": queue.key,
    "intermediate": IntermediateQueue.get_intermediate_queue_key(queue.key),
    "suspended": WORKERS_SUSPENDED,
    "wip": StartedJobRegistry(queue=queue).key,
    "scheduled": ScheduledJobRegistry(queue=queue).key,
    "finished": FinishedJobRegistry(queue=queue).key,
    "failed": FailedJobRegistry(queue=queue).key,
    "canceled": CanceledJobRegistry(queue=queue).key,
    "deferred": DeferredJobRegistry(queue=queue).key,
}))
"""


def run(program: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(), **variables}, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("prefix", "variables"), [("rq", {}), ("{mail}", {"RQ_KEY_PREFIX": "{mail}"})])
def test_keys_of_rqs_are_those_that_rq_uses(prefix: str, variables: dict[str, str]) -> None:
    keys = Keys(prefix)
    kinds = ("wip", "scheduled", "finished", "failed", "canceled", "deferred")
    assert {
        "job": keys.job("j"),
        "execution": keys.execution("j:e"),
        "executions": keys.executions("j"),
        "results": keys.results("j"),
        "worker": keys.worker("w"),
        "workers": keys.workers,
        "workers_at": keys.workers_at("mail"),
        "queues": keys.queues,
        "queue": keys.queue("mail"),
        "intermediate": keys.intermediate("mail"),
        "suspended": keys.suspended,
        **{kind: keys.registry(kind, "mail") for kind in kinds},
    } == json.loads(run(RQS, **variables))


def test_all_keys_of_ours_stand_under_the_prefix() -> None:
    made = [getattr(OURS, field.name) for field in fields(OURS) if field.name != "prefix"]
    made += [OURS.leases("q"), OURS.account("a", "r"), OURS.sweep(["q", "p"]), OURS.wake("q")]
    assert all(key.startswith("{mail}:") for key in made)
    assert made[-4:] == [
        "{mail}:ses:leases:q", "{mail}:ses:account:a:r", "{mail}:ses:sweep:q,p", "{mail}:ses:wake:q",
    ]  # fmt: skip
    assert len(set(made)) == len(made)


def test_names_that_are_bytes_make_keys_that_are_bytes() -> None:
    assert OURS.job(b"\xff") == b"{mail}:job:\xff"
    assert OURS.execution(b"j:e") == OURS.execution("j:e").encode()


@pytest.mark.parametrize(
    ("variables", "first", "prefix"),
    [
        ({}, "", "rq"),
        ({"RQ_KEY_PREFIX": "{mail}"}, "", "{mail}"),
        ({"RQ_KEY_PREFIX": "a"}, "import os, rq; os.environ['RQ_KEY_PREFIX'] = 'b'; ", "a"),
    ],
)
def test_the_keys_of_a_process_are_those_of_its_rq(
    variables: dict[str, str], first: str, prefix: str
) -> None:
    program = (
        f"{first}from rq_ses.keys import Keys; mine = Keys.default().prefix; "
        "from rq.defaults import RQ_KEY_PREFIX; print(mine, RQ_KEY_PREFIX, Keys.default().prefix)"
    )
    assert run(program, **variables) == f"{prefix} {prefix} {prefix}"


def test_the_keys_need_no_rq() -> None:
    # The package itself may import it; these two modules don't.
    program = (
        "import sys, types; package = types.ModuleType('rq_ses'); package.__path__ = [{path!r}]; "
        "sys.modules['rq_ses'] = package; import rq_ses.contract, rq_ses.keys; rq_ses.keys.Keys.default(); "
        "print('rq' in sys.modules)"
    )
    assert run(program.format(path=rq_ses.__path__[0])) == "False"


@pytest.mark.parametrize("prefix", ["", "a b", "ä", "rq\n", "rq*", "%s"])
def test_a_prefix_that_rq_refuses_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"^RQ_KEY_PREFIX: .* can't be used: give ASCII letters, digits"):
        Keys(prefix)


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0", "unix:///nowhere", "redis+sentinel://127.0.0.1:1/primary/0"]
)
def test_a_client_carries_its_keys_to_all_that_is_made_of_it(url: str) -> None:
    client = connect(url, **WAITS, keys=OURS)
    own = own_client(client, **WAITS)
    with borrowed(client) as same:
        assert keys_of(same) == OURS
    for made in (client, own, client.pipeline(), own.pipeline(), own_client(own, **WAITS)):
        assert keys_of(made) == OURS


def test_a_plain_client_that_was_given_keys_lends_them() -> None:
    plain = Redis(port=1)
    carry(plain, OURS)
    with borrowed(plain) as own:
        assert own is not plain
        assert keys_of(own) == OURS


def test_any_other_client_works_under_the_keys_of_the_process() -> None:
    sentinels = Sentinel([("127.0.0.1", 1)])
    clients = (
        Redis(port=1),
        FakeRedis(),
        sentinels.master_for("primary"),
        connect("redis://h", **WAITS),
        None,
    )
    for client in clients:
        assert keys_of(client) == Keys.default()


ENTERING = """\
import sys
from rq_ses.keys import Keys, enter
assert Keys.default().prefix == "rq"
if len(sys.argv) > 1:
    import rq
enter(Keys("{mail1}"))
assert "rq" not in sys.modules
from rq.job import Job
print(Keys.own().prefix, Keys.default().prefix, Job.key_for("j"))
"""


def test_a_process_enters_other_keys_and_rq_with_it_unless_it_is_loaded() -> None:
    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ENTERING, *arguments]
        return subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    assert ran().stdout == "rq {mail1} {mail1}:job:j\n"
    assert "RQ is loaded already, and keeps to the prefix rq" in ran("loaded").stderr
