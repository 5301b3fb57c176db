"""A simulated account whose events go to an app in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.waiting import wait_for


@dataclass(eq=False)
class App:
    """A WSGI app that keeps what it is posted, and answers with `answers`, then with 200."""

    answers: list[str] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        headers = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
        self.posts.append((headers, environ["wsgi.input"].read()))
        start_response(self.answers.pop(0) if self.answers else "200 OK", [])
        return [b"said"]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.posts]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in the notifications, in the order in which they came."""
        return [json.loads(body["Message"]) for body in self.bodies if body["Type"] == "Notification"]

    @property
    def kinds(self) -> list[str]:
        return [one.get("eventType") or one["notificationType"] for one in self.events]

    def wait(self, posts: int) -> None:
        wait_for(lambda: len(self.posts) >= posts, what=f"{posts} posts")


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.make()


@pytest.fixture
def telling(app: App, signer: Signer) -> Iterator[Callable[..., Service]]:
    """Make an account that tells the app, without asking it to confirm."""
    made: list[Service] = []

    def make(**options: Any) -> Service:
        events = {f"events_{name}": value for name, value in {"subscribed": True, **options}.items()}
        made.append(Service(Options(error_shape="header", events=[app], **events)))
        made[-1].publisher.topic._made = signer  # a new one takes its time
        return made[-1]

    yield make
    for service in made:
        service.publisher.close()
