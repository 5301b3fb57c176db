"""What SendEmail is asked to send, checked as SES checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Any, Final

from rq_ses.message import limits
from rq_ses.message.mime.people import people
from rq_ses_worker.simulator.api.checks import (
    bad,
    blob_of,
    check_data,
    json_of,
    members_of,
    missing,
    strings_of,
    walk,
)
from rq_ses_worker.simulator.api.members import check_attachments, check_headers, check_members, check_tags
from rq_ses_worker.simulator.api.templating.reading import read_template
from rq_ses_worker.simulator.api.templating.store import Templates
from rq_ses_worker.simulator.templated import Templated

_LISTS: Final = ("ToAddresses", "CcAddresses", "BccAddresses")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LOCAL: Final = re.compile(r"[^\s()<>\[\]:;@\\,\"]+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)+"')
_BRACKETED: Final = re.compile(r'<\s*(?P<quoted>"(?:[^"\\]|\\.)*"@[^<>@"]*)>\Z')
_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True)
class Submission:
    """The bare addresses of one SendEmail request: recipients in the order To, Cc, Bcc; and its template."""

    sender: str
    recipients: tuple[str, ...]
    template: Templated | None = None


def read(body: bytes, templates: Templates | None = None) -> Submission:
    """Return who sends to whom in a SendEmail request. Raises Refused with SES's words."""
    request = members_of(json_of(body), "request")
    content = members_of(request.get("Content"), "content")
    kinds = [kind for kind in ("Simple", "Raw", "Template") if content.get(kind) is not None]
    if len(kinds) != 1:
        raise bad("Content must hold exactly one of Simple, Raw and Template.")
    raw = template = None
    match kinds[0]:
        case "Simple":
            _check_simple(members_of(content["Simple"], "content.simple"))
        case "Raw":
            raw = _read_raw(members_of(content["Raw"], "content.raw"))
        case _:
            where = "content.template"
            template = read_template(members_of(content["Template"], where), where, templates or Templates())
    check_tags(request.get("EmailTags"), "emailTags")
    if len(body) > limits.MESSAGE_SIZE.most:
        _check_size(content)
    check_members(request)
    check_replies(request)
    return Submission(sender_of(request, raw), recipients_of(request, raw), template)


def check_replies(request: Mapping[str, Any]) -> None:
    """Check the addresses that answers and complaints go to. Raises Refused."""
    for address in (*strings_of(request, "ReplyToAddresses"), *_feedback(request)):
        bare_address(address)


def bare_address(text: str) -> str:
    """Return the address in `text`, which may have a display name. Raises Refused."""
    if not text.strip():
        raise bad("Invalid email address .")
    if _CONTROL.search(text):
        raise bad("Address contains control or whitespace")
    if not text.isascii():
        raise bad("Address contains non-ASCII characters")
    address = text.strip()
    if address.endswith(">"):
        quoted = _BRACKETED.search(address)
        address = (quoted["quoted"] if quoted else address[:-1].rpartition("<")[2]).strip()
    local, at, domain = address.rpartition("@")
    if not at or not domain:
        raise bad("Missing final '@domain'")
    if not local:
        raise bad("Missing local name")
    if not _LOCAL.fullmatch(local) and not _QUOTED.fullmatch(local):
        raise bad("Local address contains control or whitespace")
    if not _DOMAIN.fullmatch(domain):
        raise bad("Domain contains illegal character")
    return address


def sender_of(request: Mapping[str, Any], raw: Message | None = None) -> str:
    """Return the bare address that sends. Raises Refused."""
    sender = request.get("FromEmailAddress")
    if sender is None and raw is not None:
        sender = str(raw.get("From", ""))
    if sender is None:
        raise bad(None)
    if not isinstance(sender, str):
        raise bad("Value at 'fromEmailAddress' failed to satisfy constraint: Member must be a string")
    return bare_address(sender)


def _feedback(request: Mapping[str, Any]) -> list[str]:
    name = "FeedbackForwardingEmailAddress"
    return [] if request.get(name) is None else strings_of({name: [request[name]]}, name)


def recipients_of(request: Mapping[str, Any], raw: Message | None = None) -> tuple[str, ...]:
    """Return the bare addresses in a Destination, or else in a raw mail. Raises Refused."""
    destination = request.get("Destination")
    found: list[str] = []
    if destination is not None:
        destination = members_of(destination, "destination")
        for name in _LISTS:
            found += strings_of(destination, name)
    if not found and raw is not None:
        headers = [str(value) for name in ("To", "Cc", "Bcc") for value in raw.get_all(name, [])]
        found = [address for _, address in people(headers)]
    if not found:
        raise bad("At least one recipient must be specified.")
    if len(found) > limits.RECIPIENTS.most:
        raise bad(f"Recipient count exceeds {limits.RECIPIENTS.most}.")
    return tuple(bare_address(address) for address in found)


def _check_simple(simple: Mapping[str, Any]) -> None:
    check_data(simple.get("Subject"), "content.simple.subject")
    body = members_of(simple.get("Body"), "content.simple.body")
    parts = [name for name in ("Text", "Html") if body.get(name) is not None]
    if not parts:
        raise missing("content.simple.body.text")
    for name in parts:
        check_data(body[name], f"content.simple.body.{name.lower()}")
    check_headers(simple.get("Headers"), "content.simple.headers")
    check_attachments(simple.get("Attachments"), "content.simple.attachments")


def _read_raw(raw: Mapping[str, Any]) -> Message:
    return BytesHeaderParser(policy=compat32).parsebytes(blob_of(raw.get("Data"), "content.raw.data"))


def _check_size(content: Mapping[str, Any]) -> None:
    texts = (value for _, value in walk(content) if isinstance(value, str))
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if size > limits.MESSAGE_SIZE.most:
        raise bad(f"Message length is more than {limits.MESSAGE_SIZE.most} bytes long: '{size}'.")
