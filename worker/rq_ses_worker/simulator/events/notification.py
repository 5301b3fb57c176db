"""One message of SNS's, ready to be posted: what a test hands to its app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rq_ses_worker.simulator.events.answer import Answer
from rq_ses_worker.simulator.events.target import post
from rq_ses_worker.simulator.way import Target


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A message as SNS posts it.

    Attributes:
        event: SES's event that it brings, read.
        body: what is posted: the signed envelope, or with raw delivery the event alone.
        headers: SNS's own.
        message_id: SNS's; repetitions share it.
    """

    event: Mapping[str, Any] = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    message_id: str

    @property
    def kind(self) -> str:
        """SES's name of the event, such as "Bounce"."""
        found: str = self.event.get("eventType") or self.event["notificationType"]
        return found

    def to(self, target: Target, path: str = "") -> Answer:
        """Post it to a WSGI or ASGI app, or to a URL, and return the answer.

        Args:
            target: an app is called in this process, without a network; what it raises is raised here.
            path: where the app takes SNS's messages, such as "/ses/events".
        """
        return post(target, self.body, self.headers, path)
