"""Which path shows what of the records: a page for people, JSON for tests.

GET    /                                     the page; what it is made of stands below /_simulator/view
GET    /_simulator/mails                     accepted mails; ?after=, to=, subject=, q=, since=
GET    /_simulator/mails/MESSAGE-ID          one of them, read: addresses, texts, attachments, headers
GET    /_simulator/mails/MESSAGE-ID/html     its HTML as a document that can do nothing
GET    /_simulator/mails/MESSAGE-ID/attachments/N
DELETE /_simulator/mails                     forget mails and requests
GET    /_simulator/requests                  every request with its answer; ?after=
GET    /_simulator/requests/NUMBER           one of them: as received, the verdict, what it says
GET    /_simulator/requests/NUMBER/html, /attachments/N, /body
GET    /_simulator/requests/NUMBER/entries/N, with the same below it: one entry of a SendBulkEmail
GET    /_simulator/stats, /_simulator/account
GET    /_simulator/mails/MESSAGE-ID/events   what was told of it; POST: {"kind": "Bounce", …} tells it
GET, POST, DELETE /_simulator/events         what was told; {"targets": [URL], …} says to whom, and how
GET    /_simulator/events/certificate        that of their signatures, also at the path of its URL
GET    /?Action=ConfirmSubscription&…        the SubscribeURL that targets get
GET, POST, DELETE /_simulator/templates      stored ones: {"name": …, "subject": …, …}; ?name=
GET, POST, DELETE /_simulator/faults         scripts: {"address": …, "steps": […]}; ?address=
DELETE /_simulator                           forget everything
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web import access, events, json_views, templates
from rq_ses_worker.simulator.web.request import WebError, WebRequest
from rq_ses_worker.simulator.web.response import WebResponse, json_response

PREFIX: Final = b"/_simulator"
MAX_BODY: Final = 65_536
"""Bytes of a request for the page or the JSON; a script is small."""


def serves(method: str, path: bytes) -> bool:
    """Tell whether a request is for the page or the JSON, and not for SES."""
    if path in (b"/", b"/favicon.ico") or path.startswith(b"/SimpleNotificationService-"):
        return method in ("GET", "HEAD")
    return path == PREFIX or path.startswith(PREFIX + b"/")


def respond(service: Service, request: WebRequest, allowed: Collection[str] = ()) -> WebResponse:
    """Return the response; `allowed` are names beside loopback's under which records are served."""
    if not access.may_look(request.peer, request.headers.get("host", ()), allowed):
        return json_views.error(
            403,
            "served to this machine alone, as 127.0.0.1, [::1] or localhost; "
            "rq-ses simulator --allow-host NAME serves it to others",
        )
    method = "GET" if request.method == "HEAD" else request.method
    if method != "GET" and not access.may_change(request.headers):
        return json_views.error(403, "another site's page may not change anything here")
    try:
        return _route(service, request, method)
    except WebError as exc:
        return json_views.error(exc.status, exc.reason)


def _route(service: Service, request: WebRequest, method: str) -> WebResponse:
    parts = [unquote(part) for part in request.path.removeprefix(PREFIX.decode()).split("/")[1:]]
    match parts:
        case [""] if request.query.get("Action") == "ConfirmSubscription":
            return events.confirm(service, request)
        case ["events", *rest]:
            return _events(service, request, method, rest)
        case [name] if name.startswith("SimpleNotificationService-"):
            return events.certificate(service, name)
        case [""] | ["view", *_] | ["static", _] | ["favicon.ico"]:
            return _page(service, request, method)
        case []:
            return _by_method(method, {"DELETE": lambda: json_views.cleared(service.clear)})
        case ["stats"]:
            return _by_method(method, {"GET": lambda: json_response(service.inbox.stats())})
        case ["account"]:
            return _by_method(method, {"GET": lambda: json_response(service.describe())})
        case ["faults"]:
            return _by_method(
                method,
                {
                    "GET": lambda: json_views.scripts(service),
                    "POST": lambda: json_views.add_script(service, request),
                    "DELETE": lambda: json_views.remove_scripts(service, request),
                },
            )
        case ["templates"]:
            return _by_method(
                method,
                {
                    "GET": lambda: templates.told(service),
                    "POST": lambda: templates.add(service, request),
                    "DELETE": lambda: templates.remove(service, request),
                },
            )
        case ["requests" | "mails", *_]:
            return _records(service, request, method, parts)
        case _:
            raise _unknown()


def _events(service: Service, request: WebRequest, method: str, rest: Sequence[str]) -> WebResponse:
    match rest:
        case []:
            return _by_method(
                method,
                {
                    "GET": lambda: events.told(service, request),
                    "POST": lambda: events.change(service, request),
                    "DELETE": lambda: json_views.cleared(service.publisher.clear),
                },
            )
        case ["certificate"]:
            return _by_method(method, {"GET": lambda: events.certificate(service)})
        case _:
            raise _unknown()


def _records(service: Service, request: WebRequest, method: str, parts: Sequence[str]) -> WebResponse:
    match parts:
        case ["requests"]:
            return _by_method(method, {"GET": lambda: json_views.requests(service, request)})
        case ["mails"]:
            delete = {"DELETE": lambda: json_views.cleared(service.forget)}
            return _by_method(method, {"GET": lambda: json_views.mails(service, request)} | delete)
        case ["requests", number, "entries", entry, *rest]:
            one = json_views.record(service, number, entry)
            return _by_method(method, {"GET": lambda: json_views.one_entry(one, rest)})
        case ["requests", number, *rest]:
            record = json_views.record(service, number)
            return _by_method(method, {"GET": lambda: json_views.one_request(service, record, rest)})
        case ["mails", message_id, *rest]:
            mail = service.inbox.mail(message_id)
            if mail is None:
                raise WebError(404, "no such mail is kept")
            if rest == ["events"]:
                served = {
                    "GET": lambda: events.of(service, mail),
                    "POST": lambda: events.tell(service, mail, request),
                }
                return _by_method(method, served)
            return _by_method(method, {"GET": lambda: json_views.one_mail(mail, rest)})
        case _:
            raise _unknown()


def _page(service: Service, request: WebRequest, method: str) -> WebResponse:
    try:
        from rq_ses_worker.simulator.web.page import pages
    except ModuleNotFoundError as exc:
        raise WebError(501, f"the page needs {exc.name}: pip install 'rq-ses[simulator]'") from exc
    return pages.respond(service, request, method)


def _by_method(method: str, served: Mapping[str, Callable[[], WebResponse]]) -> WebResponse:
    if method not in served:
        raise WebError(405, f"{' or '.join(served)} only")
    return served[method]()


def _unknown() -> WebError:
    return WebError(
        404,
        "GET /_simulator/requests, /mails, /stats, /account, /faults, /templates or /events; "
        "DELETE /_simulator; the page is at /",
    )
