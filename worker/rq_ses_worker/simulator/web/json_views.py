"""The records as JSON, for tests in any language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rq_ses_worker.simulator.api.steps import ScriptError, steps_in
from rq_ses_worker.simulator.records.inbox import Record
from rq_ses_worker.simulator.records.mail import Mail
from rq_ses_worker.simulator.records.parsed import ParsedMail
from rq_ses_worker.simulator.records.raw import shown_headers, shown_target
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.page import documents
from rq_ses_worker.simulator.web.request import WebError, WebRequest, whole_number
from rq_ses_worker.simulator.web.response import WebResponse, json_response


def error(status: int, reason: str) -> WebResponse:
    """Return why a request isn't served."""
    return json_response({"error": reason}, status)


def cleared(clear: Callable[[], None]) -> WebResponse:
    """Forget by calling `clear`."""
    clear()
    return json_response({})


def requests(service: Service, request: WebRequest) -> WebResponse:
    """Return the kept requests, oldest first. Raises WebError."""
    return json_response({"requests": [r.as_dict() for r in service.inbox.requests(_after(request))]})


def mails(service: Service, request: WebRequest) -> WebResponse:
    """Return the kept mails that match the query, oldest first. Raises WebError."""
    query = request.query
    to, subject = query.get("to", "").casefold(), query.get("subject", "").casefold()
    words = query.get("q", "").casefold().split()
    try:
        since = float(query.get("since", "-inf"))
    except ValueError as exc:
        raise WebError(400, "since: not a number of epoch seconds") from exc
    found = [
        mail
        for mail in service.inbox.mails(_after(request))
        if mail.at >= since
        and (not to or any(to in recipient.casefold() for recipient in mail.recipients))
        and (not subject or subject in mail.parsed.subject.casefold())
        and (not words or mail.parsed.matches(words, mail.message_id))
    ]
    return json_response({"mails": [mail.as_dict() | {"subject": mail.parsed.subject} for mail in found]})


def record(service: Service, number: str, entry: str | None = None) -> Record:
    """Return the request of this number, or an entry of it. Raises WebError when it isn't kept."""
    wanted, index = whole_number(number), None if entry is None else whole_number(entry)
    found = None
    if wanted is not None and (entry is None or index is not None):
        found = service.inbox.record(wanted, index)
    if found is None:
        raise WebError(404, "no such request is kept")
    return found


def one_mail(mail: Mail, rest: Sequence[str]) -> WebResponse:
    """Return a mail as it reads, or a part of it. Raises WebError."""
    if rest:
        return _part(mail.parsed, rest)
    shown = {
        "number": mail.number,
        "at": mail.at,
        "message_id": mail.message_id,
        "recipients": list(mail.recipients),
        "attempt": mail.attempt,
        "events": mail.events,
        "rendering_failure": mail.rendering_failure,
    }
    return json_response(shown | _as_json(mail.parsed))


def one_entry(record: Record, rest: Sequence[str]) -> WebResponse:
    """Return an entry of a SendBulkEmail as it reads, or a part of it. Raises WebError."""
    parsed, result = record.parsed, record.result
    if rest:
        if parsed is None:
            raise WebError(404, "nothing of it is kept that could be shown")
        return _part(parsed, rest)
    return json_response(
        {
            "entry": record.entry,
            **(asdict(result) if result else {}),
            "mail": _as_json(parsed) if parsed else None,
        }
    )


def one_request(service: Service, record: Record, rest: Sequence[str]) -> WebResponse:
    """Return a request with the verdict on its signature, or a part of it. Raises WebError."""
    raw, parsed = record.raw, record.parsed
    if list(rest) == ["body"] and raw is not None:
        return documents.download(f"request-{record.request.number}.json", raw.body)
    if rest:
        if parsed is None:
            raise WebError(404, "nothing of it is kept that could be shown")
        return _part(parsed, rest)
    shown: dict[str, Any] = record.request.as_dict()
    if raw is not None:
        credentials = service.options.credentials
        shown |= {
            "target": shown_target(raw, credentials),
            "headers": shown_headers(raw, credentials),
            "body": raw.body.decode("utf-8", "replace"),
            "signature": service.judge(record.request, raw).as_dict(),
        }
    return json_response(shown | {"mail": _as_json(parsed) if parsed else None})


def scripts(service: Service) -> WebResponse:
    """Return all scripts that were given, oldest first."""
    return json_response({"faults": [script.as_dict() for script in service.faults.scripts()]})


def add_script(service: Service, request: WebRequest) -> WebResponse:
    """Give an address a script, and return all. Raises WebError."""
    given = request.json()
    address, steps = (given.get(name) for name in ("address", "steps")) if isinstance(given, dict) else (0, 0)
    if isinstance(steps, str):
        steps = steps_in(steps)
    if (
        not isinstance(address, str)
        or not isinstance(steps, list)
        or not all(isinstance(s, str) for s in steps)
    ):
        raise WebError(400, 'give {"address": "anna@example.com", "steps": ["429x2", "503"]}')
    try:
        service.faults.script(address, steps)
    except ScriptError as exc:
        raise WebError(400, str(exc)) from exc
    return scripts(service)


def remove_scripts(service: Service, request: WebRequest) -> WebResponse:
    """Take away the script of the address in the query, or all; return those left. Raises WebError."""
    address = request.query.get("address")
    if address is None:
        service.faults.clear()
    elif not service.faults.remove(address):
        raise WebError(404, "this address has no script")
    return scripts(service)


def _part(parsed: ParsedMail, rest: Sequence[str]) -> WebResponse:
    match rest:
        case ["html"] if parsed.html is not None:
            return documents.html(parsed)
        case ["mime"] if parsed.mime is not None:
            return documents.download("mail.eml", parsed.mime)
        case ["attachments", number]:
            wanted = whole_number(number)
            if wanted is not None and 1 <= wanted <= len(parsed.attachments):
                attachment = parsed.attachments[wanted - 1]
                return documents.download(attachment.filename, attachment.content)
    raise WebError(404, "the mail has no such part")


def _as_json(parsed: ParsedMail) -> dict[str, Any]:
    return {
        "from": parsed.sender,
        "to": parsed.to,
        "cc": parsed.cc,
        "bcc": parsed.bcc,
        "reply_to": parsed.reply_to,
        "subject": parsed.subject,
        "text": parsed.text,
        "html": parsed.html,
        "headers": parsed.header_lines,
        "tags": parsed.tags,
        "configuration_set": parsed.configuration_set,
        "terms": parsed.terms,
        "template": parsed.template,
        "template_data": parsed.template_data,
        "attachments": [
            {
                "number": number,
                "filename": one.filename,
                "content_type": one.content_type,
                "content_id": one.content_id,
                "size": one.size,
            }
            for number, one in enumerate(parsed.attachments, 1)
        ],
    }


def _after(request: WebRequest) -> int:
    try:
        return int(request.query.get("after", "0"))
    except ValueError as exc:
        raise WebError(400, "after: not a whole number") from exc
