"""What was told of the mails, and how each target took it: bounded, and safe to read from another thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rq_ses_worker.simulator.events.answer import Answer

_TEXT_LIMIT: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one target has taken a message so far.

    `status` is HTTP's of the last answer, None before it and where there was none; `text` says why.
    `attempts` counts posts, `taken` those that were answered with a 2xx.
    """

    target: str
    status: int | None = None
    text: str = ""
    attempts: int = 0
    taken: int = 0

    @property
    def state(self) -> str:
        """In words: "waits", "taken", "refused" or "not answered"."""
        if self.taken:
            return f"taken {self.taken} times" if self.taken > 1 else "taken"
        if not self.attempts:
            return "waits"
        return "not answered" if self.status is None else "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message to all targets; `at` is epoch seconds.

    `kind` is SES's name of the event, or "SubscriptionConfirmation". `message_id` is SES's id of the mail,
    "" where it is about none; `notification_id` is SNS's.
    """

    number: int = 0
    at: float
    kind: str
    form: str
    message_id: str
    notification_id: str
    recipients: tuple[str, ...]
    deliveries: Mapping[str, Delivery] = field(default_factory=dict)

    @property
    def taken(self) -> bool:
        """Whether every target has taken it."""
        return all(one.taken for one in self.deliveries.values())

    def __str__(self) -> str:
        states = ", ".join(f"{one.target} {one.state}" for one in self.deliveries.values())
        return f"{self.kind} of {', '.join(self.recipients) or 'nobody'}: {states}"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, deliveries as a list."""
        return {
            "number": self.number,
            "at": self.at,
            "kind": self.kind,
            "form": self.form,
            "message_id": self.message_id,
            "notification_id": self.notification_id,
            "recipients": list(self.recipients),
            "deliveries": [
                {
                    "target": one.target,
                    "state": one.state,
                    "status": one.status,
                    "text": one.text,
                    "attempts": one.attempts,
                    "taken": one.taken,
                }
                for one in self.deliveries.values()
            ],
        }


class Log:
    """The last `keep` messages."""

    def __init__(self, keep: int) -> None:
        self._lock = threading.Lock()
        self._keep = keep
        self._told: deque[Told] = deque()
        self._count = 0
        self._changes = 0

    @property
    def changes(self) -> int:
        """A number that changes with all that is written here."""
        return self._changes

    def add(self, told: Told) -> int:
        """Keep a message and return its number."""
        with self._lock:
            self._count += 1
            self._changes += 1
            self._told.append(replace(told, number=self._count))
            while len(self._told) > self._keep:
                self._told.popleft()
            return self._count

    def answered(self, number: int, target: str, answer: Answer) -> None:
        """Note what a target has said to a message, while that is kept."""
        with self._lock:
            at = number - self._told[0].number if self._told else -1
            if not 0 <= at < len(self._told):
                return
            self._changes += 1
            told = self._told[at]
            last = told.deliveries.get(target) or Delivery(target=target)
            noted = Delivery(
                target=target,
                status=answer.status,
                text="" if answer.taken else answer.text[:_TEXT_LIMIT],
                attempts=last.attempts + 1,
                taken=last.taken + answer.taken,
            )
            self._told[at] = replace(told, deliveries={**told.deliveries, target: noted})

    def all(self, after: int = 0, message_id: str | None = None) -> list[Told]:
        """Return the kept messages with a number above `after`, oldest first; those about one mail alone."""
        with self._lock:
            return [
                one
                for one in self._told
                if one.number > after and (message_id is None or one.message_id == message_id)
            ]

    def clear(self) -> None:
        """Forget all; numbers go on."""
        with self._lock:
            self._told.clear()
            self._changes += 1
