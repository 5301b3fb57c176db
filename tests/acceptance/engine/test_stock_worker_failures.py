"""What a stock `rq worker` fails before it comes to the mail: named truly, known to be unsent, and resent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox, contract
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, environment, run

WITHOUT_REQUESTS = """\
import sys
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "requests" else super().find_spec(name, path, target)


sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


def stock_worker(redis_url: str, *options: str, **variables: str) -> None:
    """Drain the queue with RQ's own worker, which fails what it finds."""
    program = str(Path(sys.executable).with_name("rq"))
    done = subprocess.run(
        [program, "worker", "mail", "--burst", "--url", redis_url, *options],
        env=environment(**variables), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "is_missing", "code", "hint"),
    [
        ([], "", "DeserializationError", "--serializer json"),
        (["--serializer", "json"], "settings", "SettingsError", "usable settings"),
        (["--serializer", "json"], "requests", "ValueError", "its extra `worker`"),
    ],
)
def test_what_a_stock_worker_fails_before_the_mail_has_its_true_name_and_is_resent(
    redis: Redis, redis_url: str, tmp_path: Path, options: list[str], is_missing: str, code: str, hint: str
) -> None:
    job_id = Outbox(redis_url).send(mail()).job_id
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_REQUESTS if is_missing == "requests" else "")
    stock_worker(redis_url, *options, PYTHONPATH=str(tmp_path))
    assert status(redis, job_id) == "failed"
    env = environment(RQ_SES_REDIS_URL=redis_url)
    group = json.loads(run(["failed", "--json"], env).stdout)
    assert (group["code"], group["count"], group["unknown"]) == (code, 1, 0)
    assert hint in group["hint"]
    one = json.loads(run(["failed", job_id, "--json"], env).stdout)
    assert (one["code"], one["unknown"]) == (code, False)
    assert code in one["error"]
    exported = json.loads(run(["failed", "--export", "-"], env).stdout)
    assert (exported["unknown"], code in exported["error"]) == (False, True)
    done = run(["resend", "--yes"], env)
    assert (done.returncode, status(redis, job_id)) == (0, "queued"), done.stderr


def test_a_reason_that_rq_wrote_last_is_read_in_place_of_an_older_one(redis: Redis, redis_url: str) -> None:
    job_id = Outbox(redis_url).send(mail()).job_id
    stock_worker(redis_url)
    # As RQ's Job.save leaves the reason of an older failure there.
    redis.hset(KEYS.job(job_id), "exc_info", b"x\x9c" + b"\xff" * 40)
    [group] = run(["failed", "--json"], environment(RQ_SES_REDIS_URL=redis_url)).stdout.splitlines()
    assert json.loads(group)["code"] == "DeserializationError"


def test_a_mail_whose_stock_worker_was_killed_stays_in_doubt(redis: Redis, redis_url: str) -> None:
    job_id = Outbox(redis_url).send(mail()).job_id
    stock_worker(redis_url)
    text = "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); "
    from rq.job import Job
    from rq.results import Result

    job = Job.fetch(job_id, connection=redis, serializer=contract.SERIALIZER)
    Result.create_failure(job, ttl=600, exc_string=text)
    env = environment(RQ_SES_REDIS_URL=redis_url)
    group = json.loads(run(["failed", "--json"], env).stdout)
    assert (group["unknown"], "Work-horse terminated" in group["cause"]) == (1, True)
    assert run(["resend", "--yes"], env).returncode == 0
    assert status(redis, job_id) == "failed"
