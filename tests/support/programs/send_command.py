"""`rq-ses send` as tests run it: a mail, lines of JSON, and what they make in Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from redis import Redis

from rq_ses_worker.lifecycle.task import Task, read_job
from support.mails.keys import KEYS
from support.programs.processes import PATIENCE

MAIL = ("--from", "Shop <shop@example.com>", "--to", "anna@example.com", "--subject", "Hi", "--text", "Hello")
COMMAND = (sys.executable, "-m", "rq_ses", "send")


def task(redis: Redis, job_id: str) -> Task:
    """What a worker would make of the job."""
    return read_job(redis.hget(KEYS.job(job_id), "data"))


def row(to: str = "anna@example.com", **fields: Any) -> str:
    return json.dumps({"sender": "shop@example.com", "to": [to], "subject": "Hi", "text": "Hello", **fields})


def sent(
    lines: bytes | str, env: dict[str, str], *options: str, command: tuple[str, ...] = COMMAND
) -> subprocess.CompletedProcess[bytes]:
    """Give lines to `rq-ses send --jsonl -` through a pipe, which can't be read twice."""
    return subprocess.run(
        [*command, "--jsonl", "-", *options],
        env=env, input=lines.encode() if isinstance(lines, str) else lines, capture_output=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def jobs(redis: Redis) -> int:
    return len(redis.keys(f"{KEYS.job_prefix}*"))
