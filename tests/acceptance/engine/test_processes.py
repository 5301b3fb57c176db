"""`rq-ses worker --processes N`: supervised workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from redis import Redis
from rq import Worker

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail, status
from support.programs.processes import running
from support.waiting import wait_for


def pids(redis: Redis) -> set[int]:
    return {worker.pid for worker in Worker.all(connection=redis)}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_processes_share_the_queue_and_end_together(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    options = ["worker", "--processes", "2", "--concurrency", "4", "--name", "w"]
    with running(options, worker_env, tmp_path / "log") as supervisor:
        wait_for(lambda: len(pids(redis)) == 2)
        assert {worker.name for worker in Worker.all(connection=redis)} == {"w-1", "w-2"}
        jobs = Outbox(redis_url).send_many([mail(f"slow-0.2.{n}@faults.example") for n in range(40)])
        wait_for(lambda: all(status(redis, r.job_id) == "finished" for r in jobs))
        wait_for(lambda: min(w.successful_job_count for w in Worker.all(connection=redis)) > 0)
        assert supervisor.stop(signal.SIGTERM) == 0
    assert pids(redis) == set()
    assert len(ses.mails) == 40


def test_a_process_that_is_killed_is_started_anew(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    options = ["worker", "--processes", "2", "--concurrency", "2", "--lease", "1"]
    with running(options, worker_env, tmp_path / "log") as supervisor:
        before = wait_for(lambda: (found := pids(redis)) and len(found) == 2 and found)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(pids(redis) - before) == 1)
        assert f"killed by signal {int(signal.SIGKILL)}; it is started anew" in supervisor.output
        jobs = Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(10)])
        wait_for(lambda: all(status(redis, r.job_id) == "finished" for r in jobs))
        assert supervisor.stop(signal.SIGTERM) == 0
    assert len(ses.mails) == 10


def test_a_burst_of_processes_ends_by_itself(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    Outbox(redis_url).send_many([mail(f"user{n}@example.com") for n in range(20)])
    with running(["worker", "--processes", "2", "--burst"], worker_env, tmp_path / "log") as supervisor:
        wait_for(lambda: not supervisor.running)
        assert supervisor.stop() == 0
    assert len(ses.mails) == 20


def test_workers_stop_when_their_supervisor_is_killed(
    redis: Redis, worker_env: dict[str, str], tmp_path: Path
) -> None:
    with running(["worker", "--processes", "2"], worker_env, tmp_path / "log") as supervisor:
        children = wait_for(lambda: (found := pids(redis)) and len(found) == 2 and found)
        supervisor.kill(signal.SIGKILL)
        wait_for(lambda: not any(alive(pid) for pid in children))
    assert pids(redis) == set()
