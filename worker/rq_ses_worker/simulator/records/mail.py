"""One accepted mail, and what became of each entry of a SendBulkEmail."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rq_ses_worker.simulator.records.bulk import request_of
from rq_ses_worker.simulator.records.parsed import ParsedMail, parse_request
from rq_ses_worker.simulator.templated import Templated


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryResult:
    """What became of one entry of a SendBulkEmail.

    `status` is None when none was told; with a `message_id` it was accepted, whatever was told. `fault` is
    the step of a script that was played.
    """

    recipients: tuple[str, ...]
    status: str | None
    error: str | None = None
    message_id: str | None = None
    fault: str | None = None


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One accepted mail; `at` is epoch seconds, `events` what AWS's simulator addresses do with it.

    `body` is what SES got. Of a SendBulkEmail, which is many mails, it is the `entry` with this index,
    and `share` says how many have the body in common.
    `rendering_failure` says why its template can't be filled in: it was accepted and will never arrive.
    """

    number: int = 0
    at: float
    monotonic: float
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    attempt: int
    events: dict[str, str]
    body: bytes = field(repr=False)
    entry: int | None = None
    share: int = 1
    template: Templated | None = field(default=None, repr=False)
    rendering_failure: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the body that keeping it takes, beside those that others keep."""
        return len(self.body) // self.share

    @cached_property
    def request(self) -> dict[str, Any]:
        """The SendEmail request, parsed from `body`; for an entry, the one that would send it alone."""
        parsed: dict[str, Any] = request_of(self.body, self.entry)
        return parsed

    @cached_property
    def parsed(self) -> ParsedMail:
        """What it says: addresses, subject, bodies, attachments; a template is filled in."""
        return parse_request(self.request, self.template)

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
            "entry": self.entry,
            "rendering_failure": self.rendering_failure,
            "request": self.request,
        }
