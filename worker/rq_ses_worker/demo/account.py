"""The demo's account of its mails: where each stands in Redis, and what the simulator saw of it."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from rq.job import Job

from rq_ses import contract
from rq_ses_worker.demo.stories import Story

STATES: Final = ("queued", "started", "scheduled", "finished", "failed")
CLOCK_SLACK: Final = 0.002
"""Seconds by which two processes' readings of one clock may differ."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One mail of the demo."""

    story: Story
    job_id: str
    recipient: str


@dataclass(slots=True)
class Verdict:
    """How a story's mails ended, and what is wrong with that."""

    story: Story
    attempts: Counter[int] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def states(redis: Redis, mails: Sequence[Enqueued]) -> dict[str, Counter[str]]:
    """Count the mails of each story by their state."""
    with redis.pipeline(transaction=False) as pipeline:
        for mail in mails:
            pipeline.hget(contract.JOB_PREFIX + mail.job_id, "status")
        found = pipeline.execute()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mail, status in zip(mails, found, strict=True):
        counts[mail.story.title][(status or b"gone").decode()] += 1
    return counts


def simulator_requests(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the simulator saw, by recipient, in the order of arrival."""
    with urllib.request.urlopen(f"{url}/_simulator/requests", timeout=10) as answer:  # noqa: S310 - ours, loopback
        reply = json.load(answer)
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for request in reply["requests"]:
        for recipient in request["recipients"]:
            seen[recipient].append(request)
    return seen


def verdicts(redis: Redis, mails: Sequence[Enqueued], seen: dict[str, list[dict[str, Any]]]) -> list[Verdict]:
    """Compare each mail's end and attempts with its story."""
    found: dict[str, Verdict] = {}
    for mail in mails:
        verdict = found.setdefault(mail.story.title, Verdict(mail.story))
        job = Job.fetch(mail.job_id, connection=redis, serializer=contract.SERIALIZER)
        _judge(verdict, mail, job, seen[mail.recipient])
    return list(found.values())


def _judge(verdict: Verdict, mail: Enqueued, job: Job, requests: list[dict[str, Any]]) -> None:
    story = mail.story
    status = job.get_status(refresh=False).value
    if status != story.ends:
        verdict.problems.append(f"{mail.recipient}: {status}, not {story.ends}")
    line = failure(job)
    if story.words not in line:
        verdict.problems.append(f"{mail.recipient}: {line!r} does not say {story.words!r}")
    verdict.attempts[len(requests)] += 1
    if len(requests) != story.attempts:
        verdict.problems.append(f"{mail.recipient}: {len(requests)} attempts, not {story.attempts}")
    accepted = sum(request["message_id"] is not None for request in requests)
    if accepted != story.accepted:
        verdict.problems.append(f"{mail.recipient}: accepted {accepted} times, not {story.accepted}")
    for earlier, later, promised in zip(requests, requests[1:], story.delays, strict=False):
        delay = later["at"] - earlier["answered_at"]
        verdict.delays.append(delay)
        if delay < promised - CLOCK_SLACK:
            verdict.problems.append(f"{mail.recipient}: tried again after {delay:.3f} s, not {promised:g} s")


def failure(job: Job) -> str:
    """Return the line a failed job carries."""
    result = job.latest_result()
    return (result.exc_string or "") if result else ""
