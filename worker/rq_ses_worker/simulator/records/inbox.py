"""What the simulator remembers: every request and every accepted mail, bounded."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from rq_ses_worker.simulator.records.mail import EntryResult, Mail
from rq_ses_worker.simulator.records.parsed import ParsedMail, parse_mail
from rq_ses_worker.simulator.records.raw import RawRequest

MAX_BODY_BYTES: Final = 268_435_456
"""Bytes of mail bodies kept at most: ten thousand mails with large attachments would fill a machine."""

MAX_RAW_BYTES: Final = 67_108_864
"""Bytes of whole requests kept at most, beside what mails take."""

_MAX_ATTEMPTED: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request and its answer; its headers, query and body are kept apart, as a RawRequest.

    `at` (epoch seconds) and `monotonic` are taken on arrival, `answered_at` (epoch seconds) is when the
    answer is due. `verdict` is "ok" when the signature is good, "unchecked" when it wasn't looked at, else
    the error's name. `code` and `message` are SES's words; `status` is None when the connection was dropped
    instead of answered. `attempt` counts requests with this very body; `fault` is the step of a script that
    was played. `entries` are those of a SendBulkEmail that was answered.
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
    message: str | None = None
    entries: tuple[EntryResult, ...] = ()

    @property
    def weight(self) -> int:
        """How many it counts for where so many are kept: an entry is as much as a request."""
        return len(self.entries) or 1

    def as_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Record:
    """One request with what is still kept of it: all of it, and the mail it became.

    Of a SendBulkEmail it may be one of its entries, the one with the index `entry`.
    """

    request: Request
    raw: RawRequest | None
    mail: Mail | None
    entry: int | None = None

    @property
    def result(self) -> EntryResult | None:
        """What became of the entry."""
        return None if self.entry is None else self.request.entries[self.entry]

    @property
    def message_id(self) -> str | None:
        """SES's id of the mail; None when it wasn't accepted."""
        return self.request.message_id if self.result is None else self.result.message_id

    @property
    def parsed(self) -> ParsedMail | None:
        """What it says, as far as it is kept and can be read."""
        if self.mail is not None:
            return self.mail.parsed
        if self.raw is None:
            return None
        return self.raw.parsed if self.entry is None else parse_mail(self.raw.body, self.entry)


class Inbox:
    """The last `keep` requests and mails; safe to read from another thread while the server writes.

    Entries of a SendBulkEmail count like requests of their own.
    """

    def __init__(self, keep: int, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._lock = threading.Lock()
        self._keep = keep
        self._max_body_bytes = max_body_bytes
        self._reset()

    def _reset(self) -> None:
        self._requests: deque[Request] = deque()
        self._weight = 0
        self._mails: deque[Mail] = deque()
        self._mail_of: dict[str, Mail] = {}
        self._raw: dict[int, RawRequest] = {}
        self._raw_bytes = 0
        self._token = secrets.token_hex(4)
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

    def add_request(self, request: Request, raw: RawRequest | None = None) -> Request:
        """Keep `request`, and what came over the wire; return it with its number."""
        with self._lock:
            self._request_count += 1
            request = replace(request, number=self._request_count)
            self._requests.append(request)
            self._weight += request.weight
            while self._weight > self._keep and len(self._requests) > 1:
                self._weight -= self._requests.popleft().weight
            if raw is not None:
                self._keep_raw(request.number, raw)
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
            self._body_bytes += mail.size
            while len(self._mails) > self._keep or (
                self._body_bytes > self._max_body_bytes and len(self._mails) > 1
            ):
                dropped = self._mails.popleft()
                self._body_bytes -= dropped.size
                self._mail_of.pop(dropped.message_id, None)
            self._mail_of[mail.message_id] = mail
            return mail

    def _keep_raw(self, number: int, raw: RawRequest) -> None:
        self._raw[number] = raw
        self._raw_bytes += raw.size
        while len(self._raw) > self._keep or (self._raw_bytes > MAX_RAW_BYTES and len(self._raw) > 1):
            self._raw_bytes -= self._raw.pop(next(iter(self._raw))).size

    @property
    def version(self) -> str:
        """A word that changes with every request and every clearing."""
        with self._lock:
            return f"{self._token}-{self._request_count}"

    def records(self) -> list[Record]:
        """Return the kept requests with what they said, newest first; of a SendBulkEmail each entry."""
        with self._lock:
            return [
                self._record(request, entry)
                for request in reversed(self._requests)
                for entry in (range(len(request.entries))[::-1] or (None,))
            ]

    def record(self, number: int, entry: int | None = None) -> Record | None:
        """Return the request with this number, or an entry of it, while it is kept."""
        with self._lock:
            at = number - self._requests[0].number if self._requests else -1
            request = self._requests[at] if 0 <= at < len(self._requests) else None
            if request is None or (entry is not None and entry >= len(request.entries)):
                return None
            return self._record(request, entry)

    def mail(self, message_id: str) -> Mail | None:
        """Return the mail with this message id, while it is kept."""
        with self._lock:
            return self._mail_of.get(message_id)

    def _record(self, request: Request, entry: int | None) -> Record:
        message_id = request.message_id if entry is None else request.entries[entry].message_id
        mail = self._mail_of.get(message_id) if message_id else None
        return Record(request, self._raw.get(request.number), mail, entry)

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
