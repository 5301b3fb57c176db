"""What is told of mails, as JSON for tests in any language; and what SNS serves besides."""

from __future__ import annotations

import uuid
from typing import Any, Final
from xml.sax.saxutils import escape

from rq_ses_worker.simulator.events.event import KINDS
from rq_ses_worker.simulator.events.notification import Notification
from rq_ses_worker.simulator.events.plan import Occurrence
from rq_ses_worker.simulator.records.mail import Mail
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.request import WebError, WebRequest, whole_number
from rq_ses_worker.simulator.web.response import WebResponse, json_response

TESTED: Final = tuple(kind for kind in KINDS if kind != "Subscription")
"""The kinds that are about a mail."""


def told(service: Service, request: WebRequest) -> WebResponse:
    """Return how events are told, and what was told, oldest first. Raises WebError."""
    after = whole_number(request.query.get("after", "0"))
    if after is None:
        raise WebError(400, "after: not a whole number")
    publisher = service.publisher
    kept = [one.as_dict() for one in publisher.log.all(after)]
    return json_response(publisher.describe() | {"events": kept})


def change(service: Service, request: WebRequest) -> WebResponse:
    """Tell from now on to whom, and how, the body says; return all of that. Raises WebError."""
    try:
        service.publisher.change(_members(request))
    except (TypeError, ValueError) as exc:
        raise WebError(400, str(exc)) from exc
    return json_response(service.publisher.describe())


def of(service: Service, mail: Mail) -> WebResponse:
    """Return what was told of a mail, oldest first."""
    return json_response(
        {"events": [one.as_dict() for one in service.publisher.log.all(message_id=mail.message_id)]}
    )


def tell(service: Service, mail: Mail, request: WebRequest) -> WebResponse:
    """Tell of a mail what the body says, and return the messages as they are posted. Raises WebError."""
    given = _members(request)
    if given.keys() - {"kind", "recipients", "about"} or not isinstance(given.get("kind"), str):
        raise WebError(
            400, 'give {"kind": "Bounce", "recipients": […], "about": {"bounceType": "Transient"}}'
        )
    try:
        made = tell_of(service, mail, **given)
    except ValueError as exc:
        raise WebError(400, str(exc)) from exc
    return json_response({"notifications": [_posted(one) for one in made]})


def tell_of(
    service: Service, mail: Mail, kind: str, recipients: Any = None, about: Any = None
) -> list[Notification]:
    """Tell the targets of an event. Raises ValueError when it is none."""
    if kind not in TESTED:
        raise ValueError(f"kind: {kind[:100]!r} is none of {', '.join(TESTED)}")
    chosen = mail.recipients if recipients is None else recipients
    if not isinstance(chosen, list | tuple) or not all(isinstance(one, str) for one in chosen):
        raise ValueError("recipients: give a list of addresses")
    if not isinstance(about or {}, dict):
        raise ValueError("about: give an object")  # noqa: TRY004 - told like every wrong value
    occurrence = Occurrence(kind=kind, recipients=tuple(chosen), about=about or {})
    made = service.publisher.tell(mail, occurrence)
    if not made:
        raise ValueError(f"kind: no identity is notified of {kind!r}: change the form to event or both")
    return made


def certificate(service: Service, name: str | None = None) -> WebResponse:
    """Return the certificate by which signatures are checked. Raises WebError."""
    signer = service.publisher.topic.signer
    if name not in (None, signer.name):
        raise WebError(404, "no certificate has this name")
    return WebResponse(200, signer.certificate, "application/x-pem-file")


def confirm(service: Service, request: WebRequest) -> WebResponse:
    """Answer a target that asks for its SubscribeURL, as SNS does. Raises WebError."""
    arn = request.query.get("TopicArn", "")
    if not service.publisher.confirm(arn, request.query.get("Token", "")):
        raise WebError(400, "Invalid token, or another topic's")
    body = (
        '<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        f"<ConfirmSubscriptionResult><SubscriptionArn>{escape(arn)}:{uuid.uuid4()}</SubscriptionArn>"
        f"</ConfirmSubscriptionResult><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId>"
        "</ResponseMetadata></ConfirmSubscriptionResponse>"
    )
    return WebResponse(200, body.encode(), "text/xml")


def _posted(one: Notification) -> dict[str, Any]:
    return {
        "message_id": one.message_id,
        "headers": dict(one.headers),
        "body": one.body.decode(),
        "event": one.event,
    }


def _members(request: WebRequest) -> dict[str, Any]:
    given = request.json()
    if not isinstance(given, dict):
        raise WebError(400, "the body is no JSON object")
    return given
