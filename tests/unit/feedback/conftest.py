"""What the tests of feedback share: a topic that signs, and a receiver whose events go into a list."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses.feedback.certificates import Certificates
from rq_ses.feedback.event import Event
from rq_ses.feedback.fetching import NotFetched
from rq_ses.feedback.receiver import Answer, Receiver
from rq_ses.feedback.store import Stored
from rq_ses.feedback.topic import Topic as Listed
from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.events.topic import Topic

ARN = "arn:aws:sns:us-east-1:123456789012:ses-events"


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.make()


@dataclass
class World:
    """A receiver of one topic, and all that it reaches."""

    topic: Topic
    events: list[Event] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    """What doesn't answer: "redis", "aws"."""
    confirm: bool = True
    raw: bool = False

    def store(self, event: Event) -> Stored:
        if "redis" in self.away:
            raise ConnectionLost("refused")
        new = event not in self.events
        self.events.append(event)
        return Stored(int(new), event.job_id)

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if "aws" in self.away:
            raise NotFetched("no way out")
        return self.topic.signer.certificate

    def __post_init__(self) -> None:
        listed = Listed.read(self.topic.arn)
        self.receiver = Receiver(
            {listed.arn: listed},
            Certificates(fetch=self.fetch),
            self,
            confirm=self.confirm,
            raw=self.raw,
            fetch=self.fetch,
        )

    def receive(self, body: bytes, **how: Any) -> Answer:
        return self.receiver.receive(body, **how)

    def tampered(self, body: bytes, **members: Any) -> Answer:
        return self.receive(json.dumps(json.loads(body) | members).encode())


@pytest.fixture
def world(signer: Signer) -> World:
    return World(Topic(arn=ARN, signer=signer))


@pytest.fixture
def make_world(signer: Signer) -> Callable[..., World]:
    def make(**how: Any) -> World:
        topic = {name: how.pop(name) for name in ("arn", "version") if name in how}
        return World(Topic(**{"arn": ARN, "signer": signer, **topic}), **how)

    return make
