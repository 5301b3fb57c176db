"""Fill a Redis with mails in every state a mail can be in, by the processes of a build."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from redis import Redis

from support.builds.answers import AnsweringSes
from support.builds.build import ENQUEUE, Build
from support.waiting import wait_for

ACCOUNT = ("--region", "us-east-1")
_WORKER = (
    "--max-send-rate", "50", "--timeout", "1",
    "--transient-delay", "3600", "--rate-limited-delay", "3600", "--max-delay", "3600",
)  # fmt: skip
_LEASE = {"under-way": 600, "lost": 2}


def fill(build: Build, redis: Redis, redis_url: str, directory: Path) -> dict[str, str]:
    """Do it in an empty database; return the job ids by label."""
    jobs: dict[str, str] = {}
    with AnsweringSes(difficult=True) as ses:
        env = build.environment(redis_url, ses.url)

        def enqueue(stage: str, *more: str) -> None:
            jobs.update(json.loads(build.run([str(ENQUEUE), stage, *more], env)))

        def command(*arguments: str) -> None:
            build.run(["-m", "rq_ses", *arguments], env)

        enqueue("attempted")
        time.sleep(0.3)  # for the expiry of one
        work_off(build, redis, env, directory, *_WORKER, "--name", "worker.attempted")
        enqueue("given-up")
        work_off(build, redis, env, directory, *_WORKER, "--name", "worker.given-up", "--max-attempts", "1")
        for stage, lease in _LEASE.items():
            enqueue(stage)
            _kill_in_the_middle(build, env, ses, f"kept-{stage}", lease, directory)
        enqueue("waiting", jobs["refused-requeued"])
        if build.has("cancel", env):
            enqueue("canceled")
            command("cancel", jobs["canceled"])
            command("cancel", jobs["canceled-scheduled"])
        command("breaker", "open", *ACCOUNT, "--reason", "a build is recorded")
        leases = [score for _, score in redis.zrange("rq:ses:leases:mail", 0, -1, withscores=True)]
        wait_for(lambda: redis.time()[0] > min(leases), what="the lease of a dead worker runs out")
    return jobs


def work_off(build: Build, redis: Redis, env: dict[str, str], directory: Path, *options: str) -> None:
    """Run a worker until nothing waits any more but what is scheduled for later, then end it."""
    process = build.start(["worker", *options], env, directory / "worker.log")
    try:
        wait_for(lambda: not _due(redis) or not process.running, within=40, what="all is attempted")
        assert process.running, process.output
    finally:
        code = process.stop()
    assert code == 0, process.output


def _due(redis: Redis) -> bool:
    """Tell whether a mail is queued, or to be within a minute, or held by a lease that ends by then."""
    soon = redis.time()[0] + 60
    queues = ("mail-high", "mail", "mail-bulk")
    timed = [f"rq:{kind}:{queue}" for kind in ("scheduled", "ses:leases") for queue in queues]
    return any(redis.exists(f"rq:queue:{queue}") for queue in queues) or any(
        redis.zcount(key, 0, soon) for key in timed
    )


def _kill_in_the_middle(
    build: Build, env: dict[str, str], ses: AnsweringSes, label: str, lease: int, directory: Path
) -> None:
    name = f"worker.{label.removeprefix('kept-')}"
    options = ("--lease", str(lease), "--timeout", "30", "--max-send-rate", "50", "--name", name)
    process = build.start(["worker", *options], env, directory / f"{name}.log")
    try:
        wait_for(lambda: ses.asked[label], what=label)
    finally:
        process.stop(signal.SIGKILL)
