"""The page's views, rendered here: they read without a script, and the one script only keeps them fresh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from rq_ses_worker.simulator.answering import faults
from rq_ses_worker.simulator.answering.faults import ScriptError
from rq_ses_worker.simulator.call import Call, Unfit
from rq_ses_worker.simulator.mailbox.inbox import Record
from rq_ses_worker.simulator.mailbox.shown import Shown
from rq_ses_worker.simulator.mailbox.wire import shown_headers, shown_target
from rq_ses_worker.simulator.service import SEND_EMAIL, Service

PAGE_SIZE: Final = 100
RAW_LIMIT: Final = 50_000
"""Characters of a request's body that its page shows; the rest is a download."""

TEXT_LIMIT: Final = 500_000
LIST_LIMIT: Final = 200
"""Characters of a text, and lines of a list, that a mail's page shows."""

SHOWS: Final = {
    "mails": "All mails",
    "accepted": "Accepted",
    "refused": "Refused",
    "requests": "All requests",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ADDRESS_LIMIT: Final = 400
_LONG_WORD: Final = 28
"""Characters of a word that may be broken anywhere: no column is made wide enough for a longer one."""

_HTML: Final = "text/html; charset=utf-8"
_HERE: Final = Path(__file__).parent
_STATIC: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_PATH: Final = SEND_EMAIL.decode()


def respond(service: Service, call: Call, method: str) -> Shown:
    """Return the view, or what a form on it led to. Raises Unfit."""
    match call.path.removeprefix("/_simulator").split("/")[1:]:
        case [""]:
            return _get(method, lambda: _unless_seen(service, call, _inbox))
        case ["view", "requests", number]:
            return _get(method, lambda: _detail(service, number))
        case ["view", "clear"] if method == "POST":
            service.inbox.clear()
            return _see("/")
        case ["view", "faults"]:
            if method == "POST":
                return _change_faults(service, call)
            return _get(method, lambda: _unless_seen(service, call, _faults))
        case ["static", name] if name in _STATIC:
            return _get(method, lambda: _static(name))
        case _:
            raise Unfit(404, "the page is at /")


def _get(method: str, view: Callable[[], Shown]) -> Shown:
    if method != "GET":
        raise Unfit(405, "GET only")
    return view()


def _unless_seen(service: Service, call: Call, view: Callable[[Service, Call], Shown]) -> Shown:
    version = f'"{service.inbox.version}-{service.faults.changes}"'
    tag = {"ETag": version}
    if version in call.headers.get("if-none-match", ()):
        return Shown(304, b"", _HTML, _POLICY, tag)
    shown = view(service, call)
    return replace(shown, more={**shown.more, **tag})


def _inbox(service: Service, call: Call) -> Shown:
    query = call.query
    show = query.get("show", "mails")
    show = show if show in SHOWS else "mails"
    q = query.get("q", "").strip()
    before = query.get("before", "")
    before = before if before.isascii() and before.isdecimal() and len(before) < 19 else ""
    words = q.casefold().split()
    found: list[Record] = []
    more = False
    for record in service.inbox.records():
        if before and record.request.number >= int(before):
            continue
        if not _is_among(record, show) or (words and not _has(record, words)):
            continue
        if len(found) == PAGE_SIZE:
            more = True
            break
        found.append(record)
    chosen = {"q": q} if q else {}
    links = {name: "/?" + urlencode(chosen | {"show": name}) for name in SHOWS}
    older = "/?" + urlencode({**chosen, "show": show, "before": found[-1].request.number}) if more else None
    newest = "/?" + urlencode({**chosen, "show": show}) if before else None
    context = {
        "rows": [_row(record) for record in found],
        "show": show,
        "shows": SHOWS,
        "links": links,
        "older": older,
        "newest": newest,
        "q": q,
        "stats": service.inbox.stats(),
    }
    return _page(service, "inbox.html", context)


def _detail(service: Service, number: str) -> Shown:
    record = None
    if number.isascii() and number.isdecimal() and len(number) < 19:
        record = service.inbox.record(int(number))
    if record is None:
        message = f"Request {number[:20]} is not kept any more: it was cleared, or newer ones took its place."
        return _page(service, "gone.html", {"message": message}, 404)
    request, wire, letter = record.request, record.wire, record.letter
    credentials = service.options.credentials
    body = wire.body.decode("utf-8", "replace") if wire else ""
    context: dict[str, Any] = {
        "row": _row(record),
        "request": request,
        "mail": record.mail,
        "letter": letter,
        "wire": wire,
        "target": shown_target(wire, credentials) if wire else "",
        "headers": shown_headers(wire, credentials) if wire else [],
        "body": body[:RAW_LIMIT],
        "cut": len(body) > RAW_LIMIT,
        "lines": LIST_LIMIT,
        "characters": TEXT_LIMIT,
        "verdict": service.judge(request, wire) if wire and request.verdict != "unchecked" else None,
        "newer": _neighbour(service, request.number + 1),
        "earlier": _neighbour(service, request.number - 1),
    }
    return _page(service, "detail.html", context)


def _neighbour(service: Service, number: int) -> int | None:
    return number if service.inbox.record(number) else None


def _faults(service: Service, call: Call) -> Shown:
    return _page(service, "faults.html", _faults_context(service, call.query.get("address", "")))


def _change_faults(service: Service, call: Call) -> Shown:
    form = parse_qs(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    address, steps, action = (form.get(name, [""])[-1] for name in ("address", "steps", "action"))
    if action == "remove":
        service.faults.remove(address)
        return _see("/_simulator/view/faults")
    if action == "remove-all":
        service.faults.clear()
        return _see("/_simulator/view/faults")
    try:
        service.faults.script(address, faults.steps_in(steps))
    except ScriptError as exc:
        context = _faults_context(service, address, steps, problem=str(exc))
        return _page(service, "faults.html", context, 400)
    return _see("/_simulator/view/faults")


def _faults_context(service: Service, address: str, steps: str = "", problem: str = "") -> dict[str, Any]:
    stories = service.faults.stories()
    return {
        "stories": stories[::-1][:PAGE_SIZE],
        "story_count": len(stories),
        "address": address[:320],
        "steps": steps,
        "problem": problem,
        "account": service.describe(),
        "domain": faults.DOMAIN,
    }


def _is_among(record: Record, show: str) -> bool:
    request = record.request
    if show == "requests":
        return True
    if not (request.method == "POST" and request.path.endswith(_PATH)):
        return False
    if show == "mails":
        return True
    return (request.message_id is not None) is (show == "accepted")


def _has(record: Record, words: Sequence[str]) -> bool:
    if record.letter is None:
        haystack = " ".join([*record.request.recipients, record.request.message_id or ""]).casefold()
        return all(word in haystack for word in words)
    return record.letter.matches(words, record.request.message_id)


def _row(record: Record) -> dict[str, Any]:
    request, letter = record.request, record.letter
    recipients = (*letter.to, *letter.cc, *letter.bcc) if letter else request.recipients
    if letter is None or not (letter.sender or letter.subject or recipients):
        subject = f"{request.method} {request.path}"
    else:
        subject = letter.subject or "(no subject)"
    at = datetime.fromtimestamp(request.at, UTC)
    return {
        "number": request.number,
        "time": at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "iso": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sender": letter.sender[:_ADDRESS_LIMIT] if letter else "",
        "to": [one[:_ADDRESS_LIMIT] for one in recipients[:3]],
        "to_more": max(0, len(recipients) - 3),
        "subject": subject[:300],
        "attachments": len(letter.attachments) if letter else 0,
        "good": request.message_id is not None or request.status == 200,
        "outcome": _outcome(record),
        "attempt": request.attempt,
        "fault": request.fault,
        "events": sorted(set(record.mail.events.values())) if record.mail else [],
    }


def _outcome(record: Record) -> str:
    request = record.request
    if request.message_id is not None:
        if request.status is None:
            return "accepted, not answered"
        late = request.answered_at - request.at
        return f"accepted, answered after {late:.1f} s" if request.fault == "slow" else "accepted"
    if request.status is None:
        return "connection reset"
    return f"{request.status} {request.code}" if request.code else str(request.status)


def _page(service: Service, template: str, context: dict[str, Any], status: int = 200) -> Shown:
    text = _environment().get_template(template).render(context | {"options": service.options})
    return Shown(
        status, text.encode("utf-8", "replace"), _HTML, _POLICY, {"Cross-Origin-Opener-Policy": "same-origin"}
    )


def _see(place: str) -> Shown:
    return Shown(303, b"", "text/plain; charset=utf-8", more={"Location": place})


def _static(name: str) -> Shown:
    content = (_HERE / "static" / name).read_bytes()
    return Shown(200, content, _STATIC[name], more={"Cache-Control": "no-cache"})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["long"] = _long
    environment.filters["breakable"] = _breakable
    return environment


def _long(text: str) -> str:
    """Return the attribute of an element whose text has a word that may be broken."""
    return Markup(' class="long"') if any(len(word) > _LONG_WORD for word in text.split()) else ""


def _breakable(text: str, at: str, *, before: bool = False) -> Markup:
    """Return text whose long words are rather broken after (or before) `at` than elsewhere."""
    joint = Markup("<wbr>") + at if before else at + Markup("<wbr>")
    return Markup(" ").join(
        escape(word) if len(word) <= _LONG_WORD else joint.join(map(escape, word.split(at)))
        for word in text.split(" ")
    )
