"""Drain a filled Redis by the processes of a build, and say how every mail has to end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from redis import Redis

from support.builds import dump
from support.builds.answers import AnsweringSes
from support.builds.build import Build
from support.builds.filling import ACCOUNT, work_off

LATER = 7200.0
"""Seconds after which all that was scheduled is due, and no lease stands any more."""

WORKER = ("--max-send-rate", "50", "--transient-delay", "0.1")

FAILED = ("doubted-held", "expired", "flaky-given-up", "refused", "refused-keyed")
CANCELED = ("canceled", "canceled-scheduled")
SENT_BEFORE = ("sent", "sent-high", "sent-keyed")
DOUBTED = ("doubted-again", "doubted-held", "kept-lost", "kept-under-way")
"""Mails that SES may have accepted once without an answer that was heard."""


def states(redis: Redis, jobs: Mapping[str, str]) -> dict[str, str]:
    """Return the status of each label's job."""
    found = {label: redis.hget(f"rq:job:{job_id}", "status") for label, job_id in jobs.items()}
    return {label: (status or b"gone").decode() for label, status in found.items()}


def waiting(labels: Mapping[str, str]) -> set[str]:
    """Return the labels that have been neither sent nor given up."""
    return set(labels) - {*FAILED, *CANCELED, *SENT_BEFORE}


def drained(build: Build, redis: Redis, redis_url: str, dumped: dump.Dump, directory: Path) -> Counter[str]:
    """Let a build drain a dump, two hours old, that is put into an empty database; return what SES took."""
    dump.write(redis, dumped, ago=LATER)
    with AnsweringSes(difficult=False) as ses:
        env = build.environment(redis_url, ses.url)
        assert wrong(build, env) <= {dumped["jobs"]["refused-requeued"]}
        build.run(["-m", "rq_ses", "breaker", "close", *ACCOUNT], env)
        work_off(build, redis, env, directory, *WORKER)
        assert wrong(build, env) == set()
    return ses.accepted


def wrong(build: Build, env: dict[str, str]) -> set[str]:
    """Return the jobs with which a build's audit finds something wrong.

    Before a drain that is what RQ requeued: it has its time to live still, if the build looks at that.
    """
    told = build.run(["-m", "rq_ses", "audit", "--wait", "0"], env, codes=(0, 1))
    return set(re.findall(r"^(?:[0-9a-f]{32}|[0-9A-Za-z]{22})\b", told, re.MULTILINE))


def faults(redis: Redis, jobs: Mapping[str, str], accepted: Counter[str]) -> list[str]:
    """Return a line for each mail that was not sent once, or doesn't stand where it should, after a drain."""
    found = []
    for label, status in states(redis, jobs).items():
        sent = label in waiting(jobs)
        expected = "failed" if label in FAILED else "canceled" if label in CANCELED else "finished"
        doubt = b'"ambiguous": 1' in (redis.hget(f"rq:job:{jobs[label]}", "meta") or b"")
        if (status, accepted[label], doubt) != (expected, int(sent), label in DOUBTED):
            found.append(f"{label}: {status}, taken {accepted[label]} times, doubted: {doubt}")
    return found
