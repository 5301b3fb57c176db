"""What a process loads: nothing heavy where nothing of it is used.

A figure depends on the machine; which modules are there doesn't.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.keys import Keys
from rq_ses.rqdate import utcformat
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, environment, running_module
from support.waiting import wait_for

PROGRAM = """\
import atexit, json, sys

@atexit.register
def tell():
    with open({path!r}, "w") as file:
        json.dump(sorted(sys.modules), file)

{statement}
"""

CHECKED = {"pydantic", "pydantic_core", "pydantic_settings", "email_validator"}
SERVER = {"redis", "hiredis", "rq", "asyncio", "ssl"}
TERMINAL = {"click", "rich"}
HTTP = {"requests", "urllib3", "aiohttp", "http.client", "urllib.request"}
WORKER = {"rq_ses_worker.engine", "rq_ses_worker.simulator", "rq_ses_worker.doctor", "rq_ses_worker.demo"}


def program(statement: str, path: Path) -> str:
    return PROGRAM.format(path=str(path), statement=statement)


def command(*arguments: str) -> str:
    return f"from rq_ses.cli import main\nmain({list(arguments)!r}, prog_name='rq-ses')"


def loaded(path: Path) -> set[str]:
    """The modules that a program had at its end, packages included."""
    return set(json.loads(path.read_text()))


def ran(statement: str, path: Path, **variables: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", program(statement, path)],
        env=environment(**variables), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, loaded(path)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import rq_ses", CHECKED | SERVER | TERMINAL | HTTP | WORKER),
        (
            "from rq_ses import Message, Outbox, Receipt",
            {"rq", "pydantic_settings", *TERMINAL, *HTTP, *WORKER},
        ),
        (command("--help"), CHECKED | SERVER | HTTP | WORKER | {"rich"}),
        (command("--version"), CHECKED | SERVER | HTTP | WORKER | {"rich"}),
        (command("send", "--help"), {"rq", *HTTP, *WORKER}),
        (command("sendmail", "-bs"), {"rq", "rich", "redis.asyncio.client", *HTTP, *WORKER}),
    ],
)
def test_what_is_not_used_is_not_loaded(statement: str, absent: set[str], tmp_path: Path) -> None:
    _, modules = ran(statement, tmp_path / "modules", RQ_SES_CONCURRENCY="8", RQ_SES_SIMULATOR_PORT="0")
    assert "rq_ses" in modules
    assert absent & modules == set()


def test_what_a_command_has_loaded_is_left_out_of_collections() -> None:
    told = "import atexit, gc\natexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))"
    done = subprocess.run(
        [sys.executable, "-c", f"{told}\n{command('status', '--help')}"],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "True True"


def test_a_container_asks_for_its_health_without_what_a_worker_has(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    keys, now = Keys.default(), utcformat(datetime.now(UTC))
    redis.sadd(keys.workers, keys.worker("w"))
    redis.hset(keys.worker("w"), mapping={"hostname": "here", "last_heartbeat": now})
    health = command("health", "--host", "here")
    variables = {"RQ_SES_REDIS_URL": redis_url, "RQ_SES_CONCURRENCY": "8", "RQ_SES_QUEUE": "mail"}
    code, modules = ran(health, tmp_path / "modules", **variables)
    assert code == 0
    assert (CHECKED | SERVER | HTTP | WORKER | {"rich"}) & modules == set()
    # What has to be checked is, and ends as it does for every command.
    code, modules = ran(health, tmp_path / "modules", **variables, RQ_SES_RESULT_TTL="soon")
    assert code == 3
    assert "pydantic" in modules


def test_a_worker_has_what_it_sends_with_and_the_parent_of_several_has_it_for_them(
    redis: Redis, redis_url: str, worker_env: dict[str, str], tmp_path: Path
) -> None:
    def until_sent(*options: str) -> set[str]:
        path = tmp_path / f"modules{len(options)}"
        code = program(command("worker", "--concurrency", "2", *options), path)
        with running_module(["-c", code], worker_env, tmp_path / "log") as worker:
            receipt = Outbox(redis_url).send(mail("anna@example.com"))
            wait_for(lambda: status(redis, receipt.job_id) == "finished")
            os.kill(worker.pid, signal.SIGTERM)
            wait_for(lambda: not worker.running)
        return loaded(path)

    modules = until_sent()
    assert {"redis", "requests", "pydantic"} <= modules
    unused = {
        "rq", "rich", "structlog", "pydantic_settings", "charset_normalizer", "redis.asyncio.client",
        "redis.cluster", "redis.commands.cluster", "asyncio.base_events", "opentelemetry", "isal", "tomllib",
        "prometheus_client", "dns", "rq_ses_worker.simulator", "rq_ses_worker.doctor", "rq_ses.deadletter",
        "rq_ses.outbox", "rq_ses.status.reader", "difflib", "rq_ses.tracing.spans", "rq_ses.receipt",
        "rq_ses.outcomes", "rq_ses_worker.hooks", "rq_ses.campaign.bulkjob", "rq_ses_worker.engine.bulk",
        "rq_ses_worker.ses.bulk", "rq_ses_worker.ses.lookups", "rq_ses_worker.monitoring.tally",
        "rq_ses_worker.account.grants", "rq_ses_worker.engine.claiming.partition", "rq_ses.server.partitions",
    }  # fmt: skip
    assert unused & modules == set()
    parents = until_sent("--processes", "2")
    assert {"redis", "requests", "rq_ses_worker.engine.worker", "rq_ses_worker.ses.client"} <= parents
    assert unused & parents == set()
