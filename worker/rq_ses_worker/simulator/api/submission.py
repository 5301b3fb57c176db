"""What SendEmail is asked to send, checked as SES checks it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses
from typing import Any, Final

from rq_ses.message import limits
from rq_ses_worker.simulator.api.answers import NOT_JSON, Refused, error
from rq_ses_worker.simulator.api.checks import (
    bad,
    blob_of,
    check_data,
    check_pairs,
    constraint,
    items_of,
    members_of,
    missing,
    strings_of,
)
from rq_ses_worker.simulator.api.members import check_attachment, check_members

_HEADER_NAME: Final = re.compile(rf"[!-9;-@A-~]{{1,{limits.HEADER_NAME.most}}}")
_HEADER_VALUE: Final = re.compile(rf"[ -~]{{1,{limits.HEADER_VALUE.most}}}")
_TAG: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.TAG.most}}}")

_LISTS: Final = ("ToAddresses", "CcAddresses", "BccAddresses")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LOCAL: Final = re.compile(r"[^\s()<>\[\]:;@\\,\"]+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)+"')
_BRACKETED: Final = re.compile(r'<\s*(?P<quoted>"(?:[^"\\]|\\.)*"@[^<>@"]*)>\Z')
_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_MAX_DEPTH: Final = 100
"""Levels of JSON in JSON; deeper ones are refused as no JSON."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The bare addresses of one SendEmail request: recipients in the order To, Cc, Bcc."""

    sender: str
    recipients: tuple[str, ...]


def read(body: bytes) -> Submission:
    """Return who sends to whom in a SendEmail request. Raises Refused with SES's words."""
    request = members_of(_parse(body), "request")
    content = members_of(request.get("Content"), "content")
    kinds = [kind for kind in ("Simple", "Raw", "Template") if content.get(kind) is not None]
    if len(kinds) != 1:
        raise bad("Content must hold exactly one of Simple, Raw and Template.")
    raw = None
    match kinds[0]:
        case "Simple":
            _check_simple(members_of(content["Simple"], "content.simple"))
        case "Raw":
            raw = _read_raw(members_of(content["Raw"], "content.raw"))
        case _:
            _check_template(members_of(content["Template"], "content.template"))
    check_pairs(request.get("EmailTags"), "emailTags", _TAG, _TAG)
    if len(body) > limits.MESSAGE_SIZE.most:
        _check_size(content)
    check_members(request)
    for address in (*strings_of(request, "ReplyToAddresses"), *_feedback(request)):
        bare_address(address)
    return Submission(_sender(request, raw), _recipients(request, raw))


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


def _parse(body: bytes) -> Any:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise Refused(NOT_JSON) from exc
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > _MAX_DEPTH and any(depth > _MAX_DEPTH for depth, _ in _walk(value)):
        raise Refused(NOT_JSON)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _sender(request: Mapping[str, Any], raw: Message | None) -> str:
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


def _recipients(request: Mapping[str, Any], raw: Message | None) -> tuple[str, ...]:
    destination = request.get("Destination")
    found: list[str] = []
    if destination is not None:
        destination = members_of(destination, "destination")
        for name in _LISTS:
            found += strings_of(destination, name)
    if not found and raw is not None:
        headers = [str(value) for name in ("To", "Cc", "Bcc") for value in raw.get_all(name, [])]
        found = [address for _, address in getaddresses(headers)]
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
    headers = simple.get("Headers")
    check_pairs(headers, "content.simple.headers", _HEADER_NAME, _HEADER_VALUE)
    if headers is not None and len(headers) > limits.HEADERS.most:
        raise constraint("content.simple.headers", f"have length less than or equal to {limits.HEADERS.most}")
    for number, attachment in enumerate(items_of(simple.get("Attachments"), "content.simple.attachments"), 1):
        where = f"content.simple.attachments.{number}.member"
        attachment = members_of(attachment, where)
        if not attachment.get("FileName"):
            raise missing(f"{where}.fileName")
        blob_of(attachment.get("RawContent"), f"{where}.rawContent")
        check_attachment(attachment, where)


def _read_raw(raw: Mapping[str, Any]) -> Message:
    return BytesHeaderParser(policy=compat32).parsebytes(blob_of(raw.get("Data"), "content.raw.data"))


def _check_template(template: Mapping[str, Any]) -> None:
    if template.get("TemplateContent") is None:
        name = str(template.get("TemplateName"))[:64]
        raise Refused(error(404, "NotFoundException", f"Template {name} does not exist"))


def _check_size(content: Mapping[str, Any]) -> None:
    texts = (value for _, value in _walk(content) if isinstance(value, str))
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if size > limits.MESSAGE_SIZE.most:
        raise bad(f"Message length is more than {limits.MESSAGE_SIZE.most} bytes long: '{size}'.")


def _walk(value: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value in `value` with its depth, without recursion: depth is the client's choice."""
    left = [(1, value)]
    while left:
        depth, value = left.pop()
        yield depth, value
        if isinstance(value, Mapping):
            left += [(depth + 1, member) for member in value.values()]
        elif isinstance(value, list):
            left += [(depth + 1, member) for member in value]
