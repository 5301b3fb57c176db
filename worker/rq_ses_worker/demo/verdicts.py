"""How the demo's mails ended: where each stands in Redis, what the simulator saw of it, what is wrong."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.states import FAILED, FINISHED, QUEUED, SCHEDULED, STARTED
from rq_ses_worker.demo.stories import Story

STATES: Final = (QUEUED, STARTED, SCHEDULED, FINISHED, FAILED)
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
    """How a story's mails ended, and what is wrong with that; `delays` has the measured by the promised."""

    story: Story
    ended: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    delays: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)


def states(redis: Redis, mails: Sequence[Enqueued]) -> dict[str, Counter[str]]:
    """Count the mails of each story by their state."""
    keys = keys_of(redis)
    with redis.pipeline(transaction=False) as pipeline:
        for mail in mails:
            pipeline.hget(keys.job(mail.job_id), "status")
        found = pipeline.execute()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mail, status in zip(mails, found, strict=True):
        counts[mail.story.title][(status or b"gone").decode()] += 1
    return counts


def simulator_requests(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the simulator saw, by recipient, in the order of arrival."""
    # A proxy of the user's environment can't reach our loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/_simulator/requests", timeout=10) as answer:
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
        status, line = ending(redis, mail)
        _judge(verdict, mail, status, line, seen.get(mail.recipient, []))
    return list(found.values())


def ending(redis: Redis, mail: Enqueued) -> tuple[str, str]:
    """Return a mail's status and the line of its failure, as RQ's classes read them."""
    try:
        job = Job.fetch(mail.job_id, connection=redis, serializer=contract.SERIALIZER)
    except NoSuchJobError:
        return "gone", ""
    result = job.latest_result()
    return job.get_status(refresh=False).value, (result.exc_string or "") if result else ""


def _judge(
    verdict: Verdict, mail: Enqueued, status: str, line: str, requests: Sequence[dict[str, Any]]
) -> None:
    story = mail.story
    verdict.ended[status] += 1
    verdict.attempts[len(requests)] += 1
    accepted = sum(request["message_id"] is not None for request in requests)
    problems = []
    if status != story.ends:
        problems.append(f"{status}, not {story.ends}")
    if story.words not in line:
        problems.append(f"{line!r} does not say {story.words!r}")
    if len(requests) != story.attempts:
        problems.append(f"attempts: {len(requests)}, not {story.attempts}")
    if accepted != story.accepted:
        problems.append(f"accepted: {accepted} times, not {story.accepted}")
    for earlier, later, promised in zip(requests, requests[1:], story.delays, strict=False):
        delay = later["at"] - earlier["answered_at"]
        verdict.delays[promised].append(delay)
        if delay < promised - CLOCK_SLACK:
            problems.append(f"tried again after {delay:.3f} s, not {promised:g} s")
    verdict.problems += [f"{mail.recipient}: {problem}" for problem in problems]
