"""What the simulator remembers: every request and every accepted mail, bounded."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Final

MAX_BODY_BYTES: Final = 268_435_456
"""Bytes of mail bodies kept at most: ten thousand mails with large attachments would fill a machine."""

_MAX_ATTEMPTED: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request and its answer; neither its headers nor its query are kept.

    `at` (epoch seconds) and `monotonic` are taken on arrival, `answered_at` (epoch seconds) is when the
    answer is due. `verdict` is "ok" when the signature is good, "unchecked" when it wasn't looked at, else
    the error's name. `status` is None when the connection was dropped instead of answered. `attempt` counts
    requests with this very body; `fault` is the step of a script that was played.
    """

    number: int = 0
    at: float
    monotonic: float
    answered_at: float
    method: str
    path: str
    recipients: tuple[str, ...]
    verdict: str
    status: int | None
    code: str | None
    attempt: int
    request_id: str
    message_id: str | None = None
    fault: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One accepted mail; `at` is epoch seconds, `events` what AWS's simulator addresses do with it."""

    number: int = 0
    at: float
    monotonic: float
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    attempt: int
    events: dict[str, str]
    body: bytes = field(repr=False)

    @cached_property
    def request(self) -> dict[str, Any]:
        """The SendEmail request, parsed from `body`."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, the request in place of the raw body."""
        return {
            "number": self.number,
            "at": self.at,
            "monotonic": self.monotonic,
            "message_id": self.message_id,
            "sender": self.sender,
            "recipients": list(self.recipients),
            "attempt": self.attempt,
            "events": self.events,
            "request": json.loads(self.body),
        }


class Inbox:
    """The last `keep` requests and mails; safe to read from another thread while the server writes."""

    def __init__(self, keep: int, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._lock = threading.Lock()
        self._keep = keep
        self._max_body_bytes = max_body_bytes
        self._reset()

    def _reset(self) -> None:
        self._requests: deque[Request] = deque(maxlen=self._keep)
        self._mails: deque[Mail] = deque()
        self._body_bytes = 0
        self._attempts: dict[str, int] = {}
        self._answers: Counter[str] = Counter()
        self._request_count = 0
        self._mail_count = 0
        self._recipient_count = 0

    def clear(self) -> None:
        """Forget everything, counters included."""
        with self._lock:
            self._reset()

    def attempt(self, digest: str) -> int:
        """Count one more request with the body of this digest and return how many there were."""
        with self._lock:
            count = self._attempts.pop(digest, 0) + 1
            self._attempts[digest] = count
            if len(self._attempts) > _MAX_ATTEMPTED:
                del self._attempts[next(iter(self._attempts))]
            return count

    def add_request(self, request: Request) -> Request:
        """Keep `request` and return it with its number."""
        with self._lock:
            self._request_count += 1
            request = replace(request, number=self._request_count)
            self._requests.append(request)
            status = "no answer" if request.status is None else str(request.status)
            self._answers[f"{status} {request.code}" if request.code else status] += 1
            return request

    def add_mail(self, mail: Mail) -> Mail:
        """Keep `mail` and return it with its number."""
        with self._lock:
            self._mail_count += 1
            mail = replace(mail, number=self._mail_count)
            self._recipient_count += len(mail.recipients)
            self._mails.append(mail)
            self._body_bytes += len(mail.body)
            while len(self._mails) > self._keep or (
                self._body_bytes > self._max_body_bytes and len(self._mails) > 1
            ):
                self._body_bytes -= len(self._mails.popleft().body)
            return mail

    def requests(self, after: int = 0) -> list[Request]:
        """Return the kept requests with a number above `after`, oldest first."""
        with self._lock:
            return [request for request in self._requests if request.number > after]

    def mails(self, after: int = 0) -> list[Mail]:
        """Return the kept mails with a number above `after`, oldest first."""
        with self._lock:
            return [mail for mail in self._mails if mail.number > after]

    def stats(self) -> dict[str, Any]:
        """Return counts since the start or the last clear, of what is no longer kept too."""
        with self._lock:
            return {
                "requests": self._request_count,
                "mails": self._mail_count,
                "recipients": self._recipient_count,
                "answers": dict(sorted(self._answers.items())),
                "kept": {"requests": len(self._requests), "mails": len(self._mails)},
            }
