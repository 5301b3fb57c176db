"""The list of requests on the page: which are shown, and what a line says of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from rq_ses_worker.simulator.api.operation import SEND_BULK_EMAIL, SEND_EMAIL
from rq_ses_worker.simulator.records.inbox import Record
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.page.rendering import page
from rq_ses_worker.simulator.web.request import WebRequest, whole_number
from rq_ses_worker.simulator.web.response import WebResponse

PAGE_SIZE: Final = 100
SHOWS: Final = {
    "mails": "All mails",
    "accepted": "Accepted",
    "refused": "Refused",
    "requests": "All requests",
}
_ADDRESS_LIMIT: Final = 400
_PATHS: Final = (SEND_EMAIL.decode(), SEND_BULK_EMAIL.decode())


def inbox(service: Service, request: WebRequest) -> WebResponse:
    """Return the newest requests that match the query, PAGE_SIZE at most."""
    query = request.query
    show = query.get("show", "mails")
    show = show if show in SHOWS else "mails"
    q = query.get("q", "").strip()
    before = whole_number(query.get("before", ""))
    found, more = _found(service, show, q.casefold().split(), before)
    chosen = {"q": q} if q else {}
    older = "/?" + urlencode({**chosen, "show": show, "before": found[-1].request.number}) if more else None
    context = {
        "rows": [row(record) for record in found],
        "show": show,
        "shows": SHOWS,
        "links": {name: "/?" + urlencode(chosen | {"show": name}) for name in SHOWS},
        "older": older,
        "newest": None if before is None else "/?" + urlencode({**chosen, "show": show}),
        "q": q,
        "stats": service.inbox.stats(),
    }
    return page(service, "inbox.html", context)


def _found(
    service: Service, show: str, words: Sequence[str], before: int | None
) -> tuple[list[Record], bool]:
    """Return a page's worth of matching records below the number `before`, and whether there are more.

    The entries of one request stand on one page.
    """
    found: list[Record] = []
    for record in service.inbox.records():
        if before is not None and record.request.number >= before:
            continue
        if not _is_among(record, show) or (words and not _has(record, words)):
            continue
        if len(found) >= PAGE_SIZE and record.request.number != found[-1].request.number:
            return found, True
        found.append(record)
    return found, False


def _is_among(record: Record, show: str) -> bool:
    request = record.request
    if show == "requests":
        return True
    if not (request.method == "POST" and request.path.endswith(_PATHS)):
        return False
    if show == "mails":
        return True
    return (record.message_id is not None) is (show == "accepted")


def _has(record: Record, words: Sequence[str]) -> bool:
    if record.parsed is None:
        haystack = " ".join([*record.request.recipients, record.message_id or ""]).casefold()
        return all(word in haystack for word in words)
    return record.parsed.matches(words, record.message_id)


def row(record: Record) -> dict[str, Any]:
    """Return what a line says of a request; times are in UTC."""
    request, parsed, result = record.request, record.parsed, record.result
    recipients = (*parsed.to, *parsed.cc, *parsed.bcc) if parsed else ()
    recipients = recipients or request.recipients
    if parsed is None or not (parsed.sender or parsed.subject or recipients):
        subject = f"{request.method} {request.path}"
    else:
        subject = parsed.subject or "(no subject)"
    at = datetime.fromtimestamp(request.at, UTC)
    return {
        "number": request.number,
        "entry": record.entry,
        "place": _place(record),
        "time": at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "iso": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sender": parsed.sender[:_ADDRESS_LIMIT] if parsed else "",
        "to": [one[:_ADDRESS_LIMIT] for one in recipients[:3]],
        "to_more": max(0, len(recipients) - 3),
        "subject": subject[:300],
        "attachments": len(parsed.attachments) if parsed else 0,
        "good": record.message_id is not None or (result is None and request.status == 200),
        "outcome": _outcome(record),
        "attempt": request.attempt,
        "fault": result.fault if result and result.fault else request.fault,
        "events": _events(record),
    }


def _place(record: Record) -> str:
    number = str(record.request.number)
    return number if record.entry is None else f"{number}/entries/{record.entry}"


def _events(record: Record) -> list[str]:
    if record.mail is None:
        return []
    failing = ["rendering failure"] if record.mail.rendering_failure else []
    return sorted(set(record.mail.events.values())) + failing


def _outcome(record: Record) -> str:
    request, result = record.request, record.result
    if result is not None and request.status is not None and result.status != "SUCCESS":
        told = result.status or "no status"
        return f"accepted, answered by {told}" if result.message_id else told
    if record.message_id is not None:
        if request.status is None:
            return "accepted, not answered"
        late = request.answered_at - request.at
        return f"accepted, answered after {late:.1f} s" if request.fault == "slow" else "accepted"
    if request.status is None:
        return "connection reset"
    return f"{request.status} {request.code}" if request.code else str(request.status)
