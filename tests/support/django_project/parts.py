"""A mail as its reader gets it, to be compared: envelope, headers, and what each part holds."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from typing import Any, Final

from django.core.mail.backends.smtp import EmailBackend

from support.django_project.project import MAILERS

PEOPLE: Final = ("from", "to", "cc", "reply-to")
_OF_FORM: Final = (
    "mime-version", "content-type", "content-transfer-encoding", "content-disposition",
    "date", "message-id",  # SES writes them anew
)  # fmt: skip

Part = tuple[str, Any, str | None, str | None]
"""Type, content (a text's without its last line break), name, content id."""


@dataclass(frozen=True)
class Read:
    """What a reader gets, and who they are."""

    recipients: list[str]
    headers: dict[str, Any]
    parts: list[Part]


class _Wire:
    """Stands for a connection to an SMTP server."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[str], bytes]] = []

    def sendmail(self, _: str, recipients: list[str], data: bytes) -> None:
        self.sent.append((recipients, data))


def by_smtp(mail: Any) -> Read:
    """Return what Django's SMTP backend would have sent."""
    backend = EmailBackend(**{"alias": "smtp", "host": "localhost"} if MAILERS else {})
    backend.connection = wire = _Wire()
    assert backend.send_messages([mail]) == 1
    [(recipients, data)] = wire.sent
    return read(data, [address for _, address in getaddresses(recipients)])


def read(data: bytes, recipients: list[str]) -> Read:
    """Return what is in a mail as MIME."""
    message = BytesParser(policy=compat32).parsebytes(data)
    headers: dict[str, Any] = {}
    for name, value in message.items():
        low, text = name.lower(), _decoded("".join(str(value).splitlines()).strip())
        if low in PEOPLE:
            headers[low] = _people([str(value)])
        elif low not in _OF_FORM:
            headers[low] = text
    return Read(sorted(recipients), headers, sorted(_parts(message), key=repr))


def by_ses(requests: list[dict[str, Any]]) -> Read:
    """Return what SES was asked to send, in as many requests as there are for one mail."""
    recipients = sorted(
        address
        for request in requests
        for _, address in getaddresses([one for some in request["Destination"].values() for one in some])
    )
    [content] = {repr(request["Content"]): request["Content"] for request in requests}.values()
    if "Raw" in content:
        return read(base64.b64decode(content["Raw"]["Data"]), recipients)
    [request] = requests
    destination = request["Destination"]
    people = {
        "from": [request["FromEmailAddress"]],
        "to": destination.get("ToAddresses"),
        "cc": destination.get("CcAddresses"),
        "reply-to": request.get("ReplyToAddresses"),
    }
    headers: dict[str, Any] = {name: _people(some) for name, some in people.items() if some}
    simple = content["Simple"]
    headers["subject"] = simple["Subject"]["Data"]
    for one in simple.get("Headers", []):
        headers[one["Name"].lower()] = one["Value"]
    return Read(recipients, headers, sorted(_simple_parts(simple), key=repr))


def _simple_parts(simple: dict[str, Any]) -> Iterator[Part]:
    for name, kind in (("Text", "text/plain"), ("Html", "text/html")):
        if name in simple["Body"]:
            yield kind, _text(simple["Body"][name]["Data"]), None, None
    for one in simple.get("Attachments", []):
        part = Message()
        part["Content-Type"] = one["ContentType"]
        content = base64.b64decode(one["RawContent"])
        yield (
            part.get_content_type(),
            _text(content.decode(part.get_content_charset("ascii"))) if _is_text(part) else content,
            one["FileName"],
            one.get("ContentId"),
        )


def _parts(message: Message) -> Iterator[Part]:
    for part in message.walk():
        if part.is_multipart():
            continue
        content: Any = part.get_payload(decode=True)
        if _is_text(part):
            content = _text(content.decode(part.get_content_charset("ascii")))
        content_id = part["Content-ID"]
        name = part.get_filename()
        yield (
            part.get_content_type(),
            content,
            _decoded(name) if name else None,
            str(content_id).strip("<>") if content_id else None,
        )


def _is_text(part: Message) -> bool:
    return part.get_content_maintype() == "text"


def _text(content: str) -> str:
    return content.replace("\r\n", "\n").removesuffix("\n")


def _people(values: list[str]) -> list[tuple[str, str]]:
    return [(_decoded(name), address) for name, address in getaddresses(values)]


def _decoded(text: str) -> str:
    return str(make_header(decode_header(text)))
