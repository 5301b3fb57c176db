"""The page's views, rendered here: they read without a script, and the one script only keeps them fresh."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from rq_ses_worker.simulator.api.steps import FAULTS_DOMAIN, ScriptError, steps_in
from rq_ses_worker.simulator.records.raw import shown_headers, shown_target
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.page import events
from rq_ses_worker.simulator.web.page.inbox import PAGE_SIZE, inbox, row
from rq_ses_worker.simulator.web.page.rendering import HTML, POLICY, page, see
from rq_ses_worker.simulator.web.request import WebError, WebRequest, whole_number
from rq_ses_worker.simulator.web.response import WebResponse

RAW_LIMIT: Final = 50_000
"""Characters of a request's body that its page shows; the rest is a download."""

TEXT_LIMIT: Final = 500_000
"""Characters of a text that a mail's page shows."""

LIST_LIMIT: Final = 200
"""Lines of a list that a mail's page shows."""

_STATIC_FILES: Final = Path(__file__).parent / "static"
_STATIC: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def respond(service: Service, request: WebRequest, method: str) -> WebResponse:
    """Return the view, or what a form on it led to. Raises WebError."""
    match request.path.removeprefix("/_simulator").split("/")[1:]:
        case [""]:
            return _get(method, lambda: _unless_seen(service, request, inbox))
        case ["view", "requests", number]:
            return _get(method, lambda: _detail(service, number))
        case ["view", "requests", number, "entries", entry]:
            return _get(method, lambda: _detail(service, number, entry))
        case ["view", "clear"] if method == "POST":
            service.forget()
            return see("/")
        case ["view", "faults"]:
            if method == "POST":
                return _change_faults(service, request)
            return _get(method, lambda: _unless_seen(service, request, _faults))
        case ["view", "templates"]:
            return _get(method, lambda: _unless_seen(service, request, _templates))
        case ["view", "events"]:
            if method == "POST":
                return events.change(service, request)
            return _get(method, lambda: _unless_seen(service, request, events.events))
        case ["view", "mails", message_id, "events"] if method == "POST":
            return events.tell(service, request, message_id)
        case ["static", name] if name in _STATIC:
            return _get(method, lambda: _static(name))
        case _:
            raise WebError(404, "the page is at /")


def _get(method: str, view: Callable[[], WebResponse]) -> WebResponse:
    if method != "GET":
        raise WebError(405, "GET only")
    return view()


def _unless_seen(
    service: Service, request: WebRequest, view: Callable[[Service, WebRequest], WebResponse]
) -> WebResponse:
    changes = (service.faults.changes, service.templates.changes, service.publisher.changes)
    version = f'"{service.inbox.version}-{"-".join(map(str, changes))}"'
    tag = {"ETag": version}
    if version in request.headers.get("if-none-match", ()):
        return WebResponse(304, b"", HTML, POLICY, tag)
    response = view(service, request)
    return replace(response, more={**response.more, **tag})


def _detail(service: Service, number: str, entry: str | None = None) -> WebResponse:
    wanted, index = whole_number(number), None if entry is None else whole_number(entry)
    record = None
    if wanted is not None and (entry is None or index is not None):
        record = service.inbox.record(wanted, index)
    if record is None:
        message = f"Request {number[:20]} is not kept any more: it was cleared, or newer ones took its place."
        return page(service, "gone.html", {"message": message}, 404)
    request, raw, parsed = record.request, record.raw, record.parsed
    credentials = service.options.credentials
    body = raw.body.decode("utf-8", "replace") if raw else ""
    context: dict[str, Any] = {
        "row": row(record),
        "request": request,
        "mail": record.mail,
        "message_id": record.message_id,
        "result": record.result,
        "data": _as_text(parsed.template_data) if parsed and parsed.template_data is not None else None,
        "parsed": parsed,
        "raw": raw,
        "target": shown_target(raw, credentials) if raw else "",
        "headers": shown_headers(raw, credentials) if raw else [],
        "body": body[:RAW_LIMIT],
        "cut": len(body) > RAW_LIMIT,
        "lines": LIST_LIMIT,
        "characters": TEXT_LIMIT,
        "verdict": service.judge(request, raw) if raw and request.verdict != "unchecked" else None,
        "events": events.rows(service, record.message_id),
        "kinds": events.KINDS if service.publisher.way.targets else (),
        "newer": _neighbour(service, request.number + 1),
        "earlier": _neighbour(service, request.number - 1),
    }
    return page(service, "detail.html", context)


def _as_text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)


def _neighbour(service: Service, number: int) -> int | None:
    return number if service.inbox.record(number) else None


def _templates(service: Service, _: WebRequest) -> WebResponse:
    stored = service.templates.all()
    context = {"templates": stored[::-1][:PAGE_SIZE], "count": len(stored), "characters": TEXT_LIMIT}
    return page(service, "templates.html", context)


def _faults(service: Service, request: WebRequest) -> WebResponse:
    return page(service, "faults.html", _faults_context(service, request.query.get("address", "")))


def _change_faults(service: Service, request: WebRequest) -> WebResponse:
    form = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    address, steps, action = (form.get(name, [""])[-1] for name in ("address", "steps", "action"))
    if action == "remove":
        service.faults.remove(address)
        return see("/_simulator/view/faults")
    if action == "remove-all":
        service.faults.clear()
        return see("/_simulator/view/faults")
    try:
        service.faults.script(address, steps_in(steps))
    except ScriptError as exc:
        context = _faults_context(service, address, steps, problem=str(exc))
        return page(service, "faults.html", context, 400)
    return see("/_simulator/view/faults")


def _faults_context(service: Service, address: str, steps: str = "", problem: str = "") -> dict[str, Any]:
    scripts = service.faults.scripts()
    return {
        "scripts": scripts[::-1][:PAGE_SIZE],
        "script_count": len(scripts),
        "address": address[:320],
        "steps": steps,
        "problem": problem,
        "account": service.describe(),
        "domain": FAULTS_DOMAIN,
    }


def _static(name: str) -> WebResponse:
    content = (_STATIC_FILES / name).read_bytes()
    return WebResponse(200, content, _STATIC[name], more={"Cache-Control": "no-cache"})
