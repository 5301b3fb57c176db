"""What SendEmail is asked to send, checked as SES checks it."""

from __future__ import annotations

import base64
import binascii
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
from rq_ses_worker.simulator.api.answers import NOT_JSON, Refused, bad_request, error

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
    request = _object(_parse(body), "request")
    content = _object(request.get("Content"), "content")
    kinds = [kind for kind in ("Simple", "Raw", "Template") if content.get(kind) is not None]
    if len(kinds) != 1:
        raise _bad("Content must hold exactly one of Simple, Raw and Template.")
    raw = None
    match kinds[0]:
        case "Simple":
            _check_simple(_object(content["Simple"], "content.simple"))
        case "Raw":
            raw = _read_raw(_object(content["Raw"], "content.raw"))
        case _:
            _check_template(_object(content["Template"], "content.template"))
    _check_pairs(request.get("EmailTags"), "emailTags", _TAG, _TAG)
    if len(body) > limits.MESSAGE_SIZE.most:
        _check_size(content)
    for address in _strings(request, "ReplyToAddresses"):
        bare_address(address)
    return Submission(_sender(request, raw), _recipients(request, raw))


def bare_address(text: str) -> str:
    """Return the address in `text`, which may have a display name. Raises Refused."""
    if not text.strip():
        raise _bad("Invalid email address .")
    if _CONTROL.search(text):
        raise _bad("Address contains control or whitespace")
    if not text.isascii():
        raise _bad("Address contains non-ASCII characters")
    address = text.strip()
    if address.endswith(">"):
        quoted = _BRACKETED.search(address)
        address = (quoted["quoted"] if quoted else address[:-1].rpartition("<")[2]).strip()
    local, at, domain = address.rpartition("@")
    if not at or not domain:
        raise _bad("Missing final '@domain'")
    if not local:
        raise _bad("Missing local name")
    if not _LOCAL.fullmatch(local) and not _QUOTED.fullmatch(local):
        raise _bad("Local address contains control or whitespace")
    if not _DOMAIN.fullmatch(domain):
        raise _bad("Domain contains illegal character")
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
        raise _bad(None)
    if not isinstance(sender, str):
        raise _bad("Value at 'fromEmailAddress' failed to satisfy constraint: Member must be a string")
    return bare_address(sender)


def _recipients(request: Mapping[str, Any], raw: Message | None) -> tuple[str, ...]:
    destination = request.get("Destination")
    found: list[str] = []
    if destination is not None:
        destination = _object(destination, "destination")
        for name in _LISTS:
            found += _strings(destination, name)
    if not found and raw is not None:
        headers = [str(value) for name in ("To", "Cc", "Bcc") for value in raw.get_all(name, [])]
        found = [address for _, address in getaddresses(headers)]
    if not found:
        raise _bad("At least one recipient must be specified.")
    if len(found) > limits.RECIPIENTS.most:
        raise _bad(f"Recipient count exceeds {limits.RECIPIENTS.most}.")
    return tuple(bare_address(address) for address in found)


def _check_simple(simple: Mapping[str, Any]) -> None:
    _data(simple.get("Subject"), "content.simple.subject")
    body = _object(simple.get("Body"), "content.simple.body")
    parts = [name for name in ("Text", "Html") if body.get(name) is not None]
    if not parts:
        raise _null("content.simple.body.text")
    for name in parts:
        _data(body[name], f"content.simple.body.{name.lower()}")
    headers = simple.get("Headers")
    _check_pairs(headers, "content.simple.headers", _HEADER_NAME, _HEADER_VALUE)
    if headers is not None and len(headers) > limits.HEADERS.most:
        raise _constraint(
            "content.simple.headers", f"have length less than or equal to {limits.HEADERS.most}"
        )
    for number, attachment in enumerate(_list(simple.get("Attachments"), "content.simple.attachments"), 1):
        where = f"content.simple.attachments.{number}.member"
        attachment = _object(attachment, where)
        if not attachment.get("FileName"):
            raise _null(f"{where}.fileName")
        _blob(attachment.get("RawContent"), f"{where}.rawContent")


def _read_raw(raw: Mapping[str, Any]) -> Message:
    return BytesHeaderParser(policy=compat32).parsebytes(_blob(raw.get("Data"), "content.raw.data"))


def _check_template(template: Mapping[str, Any]) -> None:
    if template.get("TemplateContent") is None:
        name = str(template.get("TemplateName"))[:64]
        raise Refused(error(404, "NotFoundException", f"Template {name} does not exist"))


def _check_size(content: Mapping[str, Any]) -> None:
    texts = (value for _, value in _walk(content) if isinstance(value, str))
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if size > limits.MESSAGE_SIZE.most:
        raise _bad(f"Message length is more than {limits.MESSAGE_SIZE.most} bytes long: '{size}'.")


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


def _check_pairs(value: Any, where: str, name: re.Pattern[str], content: re.Pattern[str]) -> None:
    for number, pair in enumerate(_list(value, where), 1):
        pair = _object(pair, f"{where}.{number}.member")
        for key, pattern in (("Name", name), ("Value", content)):
            member = f"{where}.{number}.member.{key.lower()}"
            if pair.get(key) is None:
                raise _null(member)
            if not isinstance(pair[key], str) or not pattern.fullmatch(pair[key]):
                raise _constraint(member, f"satisfy regular expression pattern: {pattern.pattern}")


def _object(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        raise _null(where)
    if not isinstance(value, dict):
        raise _constraint(where, "be an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _constraint(where, "be a list")
    return value


def _strings(members: Mapping[str, Any], name: str) -> list[str]:
    values = _list(members.get(name), name)
    if not all(isinstance(value, str) for value in values):
        raise _constraint(name, "hold nothing but strings")
    return values


def _data(value: Any, where: str) -> None:
    data = _object(value, where).get("Data")
    if data is None:
        raise _null(f"{where}.data")
    if not isinstance(data, str):
        raise _constraint(f"{where}.data", "be a string")


def _blob(value: Any, where: str) -> bytes:
    if value is None:
        raise _null(where)
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, TypeError, binascii.Error) as exc:
        raise _constraint(where, "be base64") from exc


def _bad(message: str | None) -> Refused:
    return Refused(bad_request(message))


def _constraint(where: str, constraint: str) -> Refused:
    where = f"Value at '{where}' failed to satisfy constraint"
    return _bad(f"1 validation error detected: {where}: Member must {constraint}")


def _null(where: str) -> Refused:
    return _constraint(where, "not be null")
