"""What the simulator shows of its records: a page for people, JSON for tests.

GET    /                                     the page; what it is made of stands below /_simulator/view
GET    /_simulator/mails                     accepted mails; ?after=, to=, subject=, q=, since=
GET    /_simulator/mails/MESSAGE-ID          one of them, read: addresses, texts, attachments, headers
GET    /_simulator/mails/MESSAGE-ID/html     its HTML as a document that can do nothing
GET    /_simulator/mails/MESSAGE-ID/attachments/N
DELETE /_simulator/mails                     forget mails and requests
GET    /_simulator/requests                  every request with its answer; ?after=
GET    /_simulator/requests/NUMBER           one of them: as received, the verdict, what it says
GET    /_simulator/requests/NUMBER/html, /attachments/N, /body
GET    /_simulator/stats, /_simulator/account
GET, POST, DELETE /_simulator/faults         scripts: {"address": …, "steps": […]}; ?address=
DELETE /_simulator                           forget everything
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from rq_ses_worker.simulator import access
from rq_ses_worker.simulator.answering import faults
from rq_ses_worker.simulator.answering.faults import ScriptError
from rq_ses_worker.simulator.call import Call, Unfit
from rq_ses_worker.simulator.mailbox.inbox import Mail, Record
from rq_ses_worker.simulator.mailbox.letter import Letter
from rq_ses_worker.simulator.mailbox.shown import Shown
from rq_ses_worker.simulator.mailbox.wire import shown_headers, shown_target
from rq_ses_worker.simulator.page import documents
from rq_ses_worker.simulator.service import Service

PREFIX: Final = b"/_simulator"
MAX_BODY: Final = 65_536
"""Bytes of a request to the console; a script is small."""


def is_console(method: str, path: bytes) -> bool:
    """Tell whether a request is for the console, not for SES."""
    if path in (b"/", b"/favicon.ico"):
        return method in ("GET", "HEAD")
    return path == PREFIX or path.startswith(PREFIX + b"/")


def respond(service: Service, call: Call, allowed: Collection[str] = ()) -> Shown:
    """Return what `call` is answered with; `allowed` are names beside loopback's that it is served under."""
    if not access.may_look(call.peer, call.headers.get("host", ()), allowed):
        return _error(
            403,
            "served to this machine alone, as 127.0.0.1, [::1] or localhost; "
            "rq-ses simulator --allow-host NAME serves it to others",
        )
    method = "GET" if call.method == "HEAD" else call.method
    if method != "GET" and not access.may_change(call.headers):
        return _error(403, "another site's page may not change anything here")
    try:
        return _route(service, call, method)
    except Unfit as unfit:
        return _error(unfit.status, unfit.reason)


def _route(service: Service, call: Call, method: str) -> Shown:
    parts = [unquote(part) for part in call.path.removeprefix(PREFIX.decode()).split("/")[1:]]
    match parts:
        case [""] | ["view", *_] | ["static", _] | ["favicon.ico"]:
            return _page(service, call, method)
        case []:
            return _by_method(method, {"DELETE": lambda: _cleared(service.clear)})
        case ["requests"]:
            return _by_method(method, {"GET": lambda: _requests(service, call)})
        case ["mails"]:
            delete = {"DELETE": lambda: _cleared(service.inbox.clear)}
            return _by_method(method, {"GET": lambda: _mails(service, call)} | delete)
        case ["stats"]:
            return _by_method(method, {"GET": lambda: _json(service.inbox.stats())})
        case ["account"]:
            return _by_method(method, {"GET": lambda: _json(service.describe())})
        case ["faults"]:
            return _by_method(
                method,
                {
                    "GET": lambda: _scripts(service),
                    "POST": lambda: _script(service, call),
                    "DELETE": lambda: _unscript(service, call),
                },
            )
        case ["requests", number, *rest]:
            record = _record(service, number)
            return _by_method(method, {"GET": lambda: _one_request(service, record, rest)})
        case ["mails", message_id, *rest]:
            mail = service.inbox.mail(message_id)
            if mail is None:
                raise Unfit(404, "no such mail is kept")
            return _by_method(method, {"GET": lambda: _one_mail(mail, rest)})
        case _:
            raise _unknown()


def _page(service: Service, call: Call, method: str) -> Shown:
    try:
        from rq_ses_worker.simulator.page import pages
    except ModuleNotFoundError as exc:
        raise Unfit(501, f"the page needs {exc.name}: pip install 'rq-ses[simulator]'") from exc
    return pages.respond(service, call, method)


def _by_method(method: str, served: Mapping[str, Callable[[], Shown]]) -> Shown:
    if method not in served:
        raise Unfit(405, f"{' or '.join(served)} only")
    return served[method]()


def _cleared(clear: Callable[[], None]) -> Shown:
    clear()
    return _json({})


def _requests(service: Service, call: Call) -> Shown:
    return _json({"requests": [r.as_dict() for r in service.inbox.requests(_after(call))]})


def _mails(service: Service, call: Call) -> Shown:
    query = call.query
    to, subject = query.get("to", "").casefold(), query.get("subject", "").casefold()
    words = query.get("q", "").casefold().split()
    try:
        since = float(query.get("since", "-inf"))
    except ValueError as exc:
        raise Unfit(400, "since: not a number of epoch seconds") from exc
    found = [
        mail
        for mail in service.inbox.mails(_after(call))
        if mail.at >= since
        and (not to or any(to in recipient.casefold() for recipient in mail.recipients))
        and (not subject or subject in mail.letter.subject.casefold())
        and (not words or mail.letter.matches(words, mail.message_id))
    ]
    return _json({"mails": [mail.as_dict() | {"subject": mail.letter.subject} for mail in found]})


def _record(service: Service, number: str) -> Record:
    record = None
    if number.isascii() and number.isdecimal() and len(number) < 19:
        record = service.inbox.record(int(number))
    if record is None:
        raise Unfit(404, "no such request is kept")
    return record


def _one_mail(mail: Mail, rest: Sequence[str]) -> Shown:
    if rest:
        return _part(mail.letter, rest)
    shown = {
        "number": mail.number,
        "at": mail.at,
        "message_id": mail.message_id,
        "recipients": list(mail.recipients),
        "attempt": mail.attempt,
        "events": mail.events,
    }
    return _json(shown | _letter(mail.letter))


def _one_request(service: Service, record: Record, rest: Sequence[str]) -> Shown:
    wire, letter = record.wire, record.letter
    if list(rest) == ["body"] and wire is not None:
        return documents.download(f"request-{record.request.number}.json", wire.body)
    if rest:
        if letter is None:
            raise Unfit(404, "nothing of it is kept that could be shown")
        return _part(letter, rest)
    shown: dict[str, Any] = record.request.as_dict()
    if wire is not None:
        credentials = service.options.credentials
        shown |= {
            "target": shown_target(wire, credentials),
            "headers": shown_headers(wire, credentials),
            "body": wire.body.decode("utf-8", "replace"),
            "signature": service.judge(record.request, wire).as_dict(),
        }
    return _json(shown | {"mail": _letter(letter) if letter else None})


def _part(letter: Letter, rest: Sequence[str]) -> Shown:
    match rest:
        case ["html"] if letter.html is not None:
            return documents.html(letter)
        case ["attachments", number] if number.isascii() and number.isdecimal() and len(number) < 9:
            if 1 <= int(number) <= len(letter.attachments):
                attachment = letter.attachments[int(number) - 1]
                return documents.download(attachment.filename, attachment.content)
    raise Unfit(404, "the mail has no such part")


def _letter(letter: Letter) -> dict[str, Any]:
    return {
        "from": letter.sender,
        "to": letter.to,
        "cc": letter.cc,
        "bcc": letter.bcc,
        "reply_to": letter.reply_to,
        "subject": letter.subject,
        "text": letter.text,
        "html": letter.html,
        "headers": letter.header_lines,
        "tags": letter.tags,
        "configuration_set": letter.configuration_set,
        "attachments": [
            {
                "number": number,
                "filename": one.filename,
                "content_type": one.content_type,
                "content_id": one.content_id,
                "size": one.size,
            }
            for number, one in enumerate(letter.attachments, 1)
        ],
    }


def _scripts(service: Service) -> Shown:
    return _json({"faults": [story.as_dict() for story in service.faults.stories()]})


def _script(service: Service, call: Call) -> Shown:
    try:
        wish = json.loads(call.body)
    except (ValueError, RecursionError) as exc:
        raise Unfit(400, "the body is not JSON") from exc
    address, steps = (wish.get(name) for name in ("address", "steps")) if isinstance(wish, dict) else (0, 0)
    if isinstance(steps, str):
        steps = faults.steps_in(steps)
    if (
        not isinstance(address, str)
        or not isinstance(steps, list)
        or not all(isinstance(s, str) for s in steps)
    ):
        raise Unfit(400, 'give {"address": "anna@example.com", "steps": ["429x2", "503"]}')
    try:
        service.faults.script(address, steps)
    except ScriptError as exc:
        raise Unfit(400, str(exc)) from exc
    return _scripts(service)


def _unscript(service: Service, call: Call) -> Shown:
    address = call.query.get("address")
    if address is None:
        service.faults.clear()
    elif not service.faults.remove(address):
        raise Unfit(404, "this address has no script")
    return _scripts(service)


def _after(call: Call) -> int:
    try:
        return int(call.query.get("after", "0"))
    except ValueError as exc:
        raise Unfit(400, "after: not a whole number") from exc


def _unknown() -> Unfit:
    return Unfit(
        404,
        "GET /_simulator/requests, /mails, /stats, /account or /faults; DELETE /_simulator; the page is at /",
    )


def _error(status: int, reason: str) -> Shown:
    return _json({"error": reason}, status)


def _json(value: Any, status: int = 200) -> Shown:
    return Shown(status, json.dumps(value).encode(), "application/json")
