"""What was told of the mails, on the page: to whom, how it was taken, and the forms that change it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from rq_ses_worker.simulator.events.told import Told
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.events import TESTED, tell_of
from rq_ses_worker.simulator.web.page.inbox import PAGE_SIZE
from rq_ses_worker.simulator.web.page.rendering import page, see
from rq_ses_worker.simulator.web.request import WebError, WebRequest, whole_number
from rq_ses_worker.simulator.web.response import WebResponse

KINDS: Final = TESTED
_PLACE: Final = "/_simulator/view/events"
_SWITCHES: Final = ("shuffle", "raw", "subscribed")


def events(service: Service, _: WebRequest) -> WebResponse:
    """Return how events are told, and the newest of them."""
    return _page(service)


def rows(service: Service, message_id: str | None) -> list[dict[str, Any]]:
    """Return the lines about what was told of one mail, oldest first."""
    if message_id is None:
        return []
    return [_row(one) for one in service.publisher.log.all(message_id=message_id)[-PAGE_SIZE:]]


def change(service: Service, request: WebRequest) -> WebResponse:
    """Tell from now on as the form says."""
    form = _form(request)
    targets = form.get("targets", "")
    members: dict[str, Any] = {name: name in form for name in _SWITCHES}
    members |= {name: form[name] for name in ("form", "signature") if name in form}
    try:
        repeat = _repeat(form.get("repeat", "0"))
        apps = [one for one in service.publisher.way.targets if not isinstance(one, str)]
        service.publisher.change(members | {"repeat": repeat, "targets": [*targets.split(), *apps]})
    except ValueError as exc:
        return _page(service, str(exc), targets, 400)
    return see(_PLACE)


def tell(service: Service, request: WebRequest, message_id: str) -> WebResponse:
    """Tell of a mail what the form says, and go back to where it stands. Raises WebError."""
    mail = service.inbox.mail(message_id)
    if mail is None:
        raise WebError(404, "no such mail is kept")
    form = _form(request)
    try:
        tell_of(service, mail, form.get("kind", ""))
    except ValueError as exc:
        raise WebError(400, str(exc)) from exc
    place = form.get("place", "")
    return see(f"/_simulator/view/requests/{place}" if _is_place(place) else _PLACE)


def _repeat(text: str) -> int:
    found = whole_number(text.strip() or "0")
    if found is None:
        raise ValueError(f"repeat: {text[:20]!r} is no whole number")
    return found


def _is_place(text: str) -> bool:
    return all(part == "entries" or part.isdecimal() for part in text.split("/"))


def _form(request: WebRequest) -> dict[str, str]:
    found = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


def _page(service: Service, problem: str = "", targets: str | None = None, status: int = 200) -> WebResponse:
    publisher = service.publisher
    kept = publisher.log.all()
    told = publisher.describe()
    given = "\n".join(one for one in publisher.way.targets if isinstance(one, str))
    context = {
        "rows": [_row(one) for one in kept[::-1][:PAGE_SIZE]],
        "count": len(kept),
        "told": told,
        "dropped": told["dropped"] + sum(one["dropped"] for one in told["targets"]),
        "targets": given if targets is None else targets[:20_000],
        "problem": problem,
    }
    return page(service, "events.html", context, status)


def _row(told: Told) -> dict[str, Any]:
    at = datetime.fromtimestamp(told.at, UTC)
    return {
        "time": at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "iso": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kind": told.kind,
        "notified": told.form == "notificationType",
        "message_id": told.message_id,
        "to": list(told.recipients[:3]),
        "to_more": max(0, len(told.recipients) - 3),
        "deliveries": [
            {
                "target": one.target,
                "good": bool(one.taken),
                "state": one.state if one.taken or one.status is None else f"{one.state}: {one.status}",
                "text": one.text,
                "attempts": one.attempts,
            }
            for one in told.deliveries.values()
        ],
    }
