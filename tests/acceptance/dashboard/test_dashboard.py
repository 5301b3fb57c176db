"""The real rq-dashboard over our jobs: what its pages are told, and what its buttons call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Worker
from rq.registry import FailedJobRegistry

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status
from support.programs.dashboard import Dashboard
from support.programs.processes import Process, running
from support.waiting import wait_for

REGISTRIES = ("queued", "scheduled", "deferred", "started", "finished", "failed", "canceled")


@dataclass(frozen=True)
class World:
    """Jobs by their state, all at once, and the worker that is sending one of them."""

    jobs: dict[str, str]
    worker: Process

    def __getitem__(self, state: str) -> str:
        return self.jobs[state]


@pytest.fixture
def world(redis: Redis, redis_url: str, worker_env: dict[str, str], tmp_path: Path) -> Iterator[World]:
    outbox = Outbox(redis_url)
    addresses = {
        "finished": "anna@example.com",
        "failed": "reject.x@faults.example",
        "scheduled": "429.x@faults.example",
        "started": "slow-20.x@faults.example",
        "queued": "ben@example.com",
    }
    jobs = {state: outbox.send(mail(address)).job_id for state, address in addresses.items()}
    options = ["worker", "--name", "the-worker", "--concurrency", "1", "--timeout", "30", "--lease", "3"]
    env = {**worker_env, "RQ_SES_RATE_LIMITED_DELAY": "600"}
    with running(options, env, tmp_path / "worker.log") as worker:
        wait_for(
            lambda: {state: status(redis, job_id) for state, job_id in jobs.items()} == {s: s for s in jobs}
        )
        yield World(jobs, worker)


def test_every_page_and_every_answer_works_in_every_state(dashboard: Dashboard, world: World) -> None:
    pages = ["/", "/0/view/queues", "/0/view/workers", "/0/view/jobs"]
    pages += [
        f"/0/view/jobs/mail/{registry}/8/{order}/1" for registry in REGISTRIES for order in ("asc", "dsc")
    ]
    pages += [f"/0/view/job/{job_id}" for job_id in world.jobs.values()]
    for path in pages:
        answer = dashboard.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["Content-Type"].startswith("text/html")
    for registry in REGISTRIES:
        for order in ("asc", "dsc"):
            listed = dashboard.data(f"jobs/mail/{registry}/8/{order}/1")["jobs"]
            assert [job["id"] for job in listed] == ([world[registry]] if registry in world.jobs else [])
    for state, job_id in world.jobs.items():
        assert dashboard.data(f"job/{job_id}")["status"] == state
    [queue] = dashboard.data("queues")["queues"]
    assert queue["name"] == "mail"
    assert queue["count"] == 1
    for registry in ("scheduled", "started", "finished", "failed"):
        assert queue[f"{registry}_job_registry_count"] == 1
    assert queue["deferred_job_registry_count"] == queue["canceled_job_registry_count"] == 0


def test_the_worker_is_shown_while_it_sends(dashboard: Dashboard, world: World) -> None:
    def shown() -> dict[str, Any]:
        [worker] = dashboard.data("workers")["workers"]
        return dict(worker)

    # Its state goes out with its heartbeat.
    wait_for(lambda: shown()["state"].lower().endswith("busy"))
    worker = shown()
    assert worker["name"] == "the-worker"
    assert worker["queues"] == ["mail-high", "mail", "mail-bulk"]
    assert worker["pid"]


def test_a_failed_mail_shows_its_words_its_attempts_and_whom_it_was_for(
    redis: Redis, dashboard: Dashboard, world: World
) -> None:
    shown = dashboard.data(f"job/{world['failed']}")
    assert shown["description"] == "reject.x@faults.example → Hi"
    assert shown["origin"] == "mail"
    line = shown["exc_info"]
    assert line == fetch(redis, world["failed"]).latest_result().exc_string
    assert line.startswith("MessageRejected: Email address is not verified. The following identities failed")
    assert "(HTTP 400, request id " in line
    meta = json.loads(shown["metadata"])
    assert meta["attempts"] == 1
    assert meta["last_outcome"]["code"] == "MessageRejected"
    [listed] = dashboard.data("jobs/mail/failed/8/asc/1")["jobs"]
    assert listed["exc_info"] == line
    assert listed["description"] == shown["description"]
    assert listed["ended_at"]


def test_other_mails_show_their_result_or_what_they_wait_for(dashboard: Dashboard, world: World) -> None:
    finished = dashboard.data(f"job/{world['finished']}")
    assert finished["result"]["message_id"]
    assert finished["exc_info"] is None
    assert finished["description"] == "anna@example.com → Hi"
    scheduled = dashboard.data(f"job/{world['scheduled']}")
    meta = json.loads(scheduled["metadata"])
    assert meta["attempts"] == meta["rate_limited"] == 1
    assert meta["last_outcome"]["code"] == "TooManyRequestsException"
    assert dashboard.data(f"job/{world['started']}")["started_at"]


def test_requeue_sends_a_failed_mail_again(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    dashboard: Dashboard,
) -> None:  # fmt: skip
    ses.faults.script("anna@example.com", ["rejectx1"])
    job_id = Outbox(redis_url).send(mail()).job_id
    with running(["worker"], worker_env, tmp_path / "log"):
        wait_for(lambda: status(redis, job_id) == "failed")
        assert dashboard.post(f"/job/{job_id}/requeue") == {"status": "OK"}
        wait_for(lambda: status(redis, job_id) == "finished")
    shown = dashboard.data(f"job/{job_id}")
    assert shown["result"] == {"message_id": ses.mails[0].message_id}
    assert shown["exc_info"] is None
    assert json.loads(shown["metadata"]) == {"attempts": 1}
    assert FailedJobRegistry("mail", connection=redis).get_job_ids() == []


def test_requeue_all_sends_all_failed_mails_again(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    dashboard: Dashboard,
) -> None:  # fmt: skip
    addresses = [f"user{n}@example.com" for n in range(30)]
    for address in addresses:
        ses.faults.script(address, ["rejectx1"])
    jobs = [receipt.job_id for receipt in Outbox(redis_url).send_many([mail(to) for to in addresses])]
    with running(["worker"], worker_env, tmp_path / "log"):
        wait_for(lambda: {status(redis, job_id) for job_id in jobs} == {"failed"})
        assert dashboard.post("/requeue/mail") == {"status": "OK", "count": 30}
        wait_for(lambda: {status(redis, job_id) for job_id in jobs} == {"finished"})
    assert sorted(accepted.recipients[0] for accepted in ses.mails) == sorted(addresses)
    [queue] = dashboard.data("queues")["queues"]
    assert (queue["failed_job_registry_count"], queue["finished_job_registry_count"]) == (0, 30)


def test_delete_takes_a_mail_away_whatever_its_state(
    redis: Redis, dashboard: Dashboard, world: World
) -> None:
    for state in ("queued", "scheduled", "finished", "failed"):
        assert dashboard.post(f"/job/{world[state]}/delete") == {"status": "OK"}
        assert not redis.exists(KEYS.job(world[state]))
        assert dashboard.data(f"jobs/mail/{state}/8/asc/1")["jobs"] == []
    assert status(redis, world["started"]) == "started"
    assert world.worker.running


def test_a_mail_deleted_while_it_is_sent_stays_deleted_and_the_worker_goes_on(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path,
    dashboard: Dashboard,
) -> None:  # fmt: skip
    outbox = Outbox(redis_url)
    deleted, next_one = (
        outbox.send(mail(to)).job_id for to in ("slow-1.x@faults.example", "anna@example.com")
    )
    with running(["worker", "--concurrency", "1"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: len(ses.attempts) == 1)
        assert dashboard.post(f"/job/{deleted}/delete") == {"status": "OK"}
        wait_for(lambda: status(redis, next_one) == "finished")
        assert worker.stop() == 0
    assert not redis.exists(KEYS.job(deleted))
    [queue] = dashboard.data("queues")["queues"]
    assert queue["count"] == queue["started_job_registry_count"] == queue["failed_job_registry_count"] == 0
    assert queue["finished_job_registry_count"] == 1
    assert len(ses.mails) == 2


def test_the_failed_registry_can_be_emptied(redis: Redis, dashboard: Dashboard, world: World) -> None:
    assert dashboard.post("/queue/mail/failed/empty") == {"status": "OK"}
    assert FailedJobRegistry("mail", connection=redis).get_job_ids() == []
    assert status(redis, world["failed"]) == "gone"


def test_workers_leave_the_dashboard_when_they_stop(
    redis: Redis, worker_env: dict[str, str], tmp_path: Path, dashboard: Dashboard
) -> None:
    with running(["worker", "--name", "the-worker"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: dashboard.data("workers")["workers"])
        assert worker.stop() == 0
    assert dashboard.data("workers")["workers"] == []
    assert Worker.all(connection=redis) == []
