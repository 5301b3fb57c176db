"""What a SendEmail request says, for people and for tests: addresses, subject, bodies, attachments.

Nothing here trusts its input: refused requests are shown, too.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.errors import HeaderParseError, MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from functools import cached_property
from typing import Any, Final

from rq_ses.campaign.handlebars import TemplateError
from rq_ses.message.mime.comments import uncommented
from rq_ses.message.mime.people import people
from rq_ses_worker.simulator.records.bulk import entry_request, is_bulk
from rq_ses_worker.simulator.templated import TemplateContent, Templated

_ODD_MAIL: Final = (MessageError, LookupError, ValueError, TypeError, AttributeError, RecursionError)
"""What the standard library's parser of mail raises over mail it wasn't made for."""

_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
"""Where a long header goes on in the next line (RFC 5322, 2.2.3)."""


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One file of a mail; `content_id` is what `cid:` links in its HTML call it."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.content)


@dataclass(frozen=True, kw_only=True)
class ParsedMail:
    """A mail as its sender wrote it: addresses with their display names, encoded words decoded.

    A template's texts are filled in where the mail was accepted and its data is complete, else as they are.
    """

    sender: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str = ""
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    header_lines: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    configuration_set: str | None = None
    terms: Mapping[str, str] = field(default_factory=dict)
    """What else stands beside the content, by the names of Message's fields, or of what is in them."""
    attachments: tuple[Attachment, ...] = ()
    template: str | None = None
    """Name or ARN of the stored template that it was made of."""
    template_data: Mapping[str, Any] | None = field(default=None, repr=False)
    """What the template was filled in with; None when the mail was made of none."""
    mime: bytes | None = field(default=None, repr=False)
    """A raw mail, byte for byte."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers by their names; of a repeated one, the last."""
        return dict(self.header_lines)

    def matches(self, words: Sequence[str], message_id: str | None) -> bool:
        """Tell whether all `words` (casefolded) stand in people, subject, text or message id."""
        haystack = self._haystack + (message_id or "").casefold()
        return all(word in haystack for word in words)

    @cached_property
    def _haystack(self) -> str:
        people = (self.sender, *self.to, *self.cc, *self.bcc, *self.reply_to)
        return "\n".join([*people, self.subject, self.text or self.html or "", ""]).casefold()


def parse_mail(body: bytes, entry: int | None = None) -> ParsedMail | None:
    """Return what a SendEmail request says as far as it can be read; None when it isn't a JSON object.

    With an index, what this entry of a SendBulkEmail says.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict):
        return None
    return parse_request(entry_request(request, entry) if is_bulk(request) else request)


def parse_request(request: dict[str, Any], templated: Templated | None = None) -> ParsedMail:
    """Return what a SendEmail request says; its template is filled in when it is `templated`."""
    content = _members(request.get("Content"))
    envelope = _envelope(request)
    if "Raw" in content:
        return _raw(_bytes(_members(content["Raw"]).get("Data")), envelope)
    if "Template" in content:
        return _template(_members(content["Template"]), envelope, templated)
    return _simple(_members(content.get("Simple")), envelope)


def _envelope(request: dict[str, Any]) -> dict[str, Any]:
    """Return what stands beside the content, as ParsedMail's fields; `sender` only if there is one."""
    destination = _members(request.get("Destination"))
    envelope: dict[str, Any] = {
        "to": _addresses(destination.get("ToAddresses")),
        "cc": _addresses(destination.get("CcAddresses")),
        "bcc": _addresses(destination.get("BccAddresses")),
        "reply_to": _addresses(request.get("ReplyToAddresses")),
        "tags": dict(_pairs(request.get("EmailTags"))),
        "configuration_set": _text(request.get("ConfigurationSetName")),
        "terms": dict(_terms(request)),
    }
    if sender := _text(request.get("FromEmailAddress")):
        envelope["sender"] = decoded(sender)
    return envelope


def _terms(request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    listed = _members(request.get("ListManagementOptions"))
    tracking = _members(_members(request.get("ConfigurationOverrides")).get("Tracking"))
    for name, value in (
        ("from_email_arn", request.get("FromEmailAddressIdentityArn")),
        ("feedback_to", request.get("FeedbackForwardingEmailAddress")),
        ("feedback_arn", request.get("FeedbackForwardingEmailAddressIdentityArn")),
        ("contact_list", listed.get("ContactListName")),
        ("topic", listed.get("TopicName")),
        ("tenant", request.get("TenantName")),
        ("open_tracking", tracking.get("OpenTrackingEnabled")),
        ("click_tracking", tracking.get("ClickTrackingEnabled")),
    ):
        if (text := _text(value)) is not None:
            yield name, text


def _simple(simple: dict[str, Any], envelope: dict[str, Any]) -> ParsedMail:
    bodies = _members(simple.get("Body"))
    return ParsedMail(
        subject=decoded(_text(_members(simple.get("Subject")).get("Data")) or ""),
        text=_text(_members(bodies.get("Text")).get("Data")),
        html=_text(_members(bodies.get("Html")).get("Data")),
        header_lines=tuple(_pairs(simple.get("Headers"))),
        attachments=tuple(_attachments(simple.get("Attachments"))),
        **envelope,
    )


def _template(template: dict[str, Any], envelope: dict[str, Any], templated: Templated | None) -> ParsedMail:
    name = _text(template.get("TemplateName")) or _text(template.get("TemplateArn"))
    if templated is not None:
        data, texts = templated.data, _filled(templated)
    else:
        written = _members(template.get("TemplateContent"))
        data = _data(template.get("TemplateData"))
        subject, text, html = (_text(written.get(part)) for part in ("Subject", "Text", "Html"))
        texts = TemplateContent(subject or name or "", text, html)
    return ParsedMail(
        subject=texts.subject,
        text=texts.text,
        html=texts.html,
        header_lines=tuple(_pairs(template.get("Headers"))),
        attachments=tuple(_attachments(template.get("Attachments"))),
        template=name,
        template_data=data,
        **envelope,
    )


def _filled(templated: Templated) -> TemplateContent:
    try:
        return templated.rendered()
    except TemplateError:
        return templated.content


def _data(value: Any) -> Mapping[str, Any]:
    try:
        return _members(json.loads(value)) if isinstance(value, str) else {}
    except (ValueError, RecursionError):
        return {}


def decoded(text: str) -> str:
    """Return `text` with its encoded words (RFC 2047) decoded, or as it is when they are broken."""
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text


def _raw(data: bytes, envelope: dict[str, Any]) -> ParsedMail:
    try:
        message = BytesParser(policy=compat32).parsebytes(data)
        parts = [part for part in message.walk() if not part.is_multipart()]
        encoded = [(name, _FOLD.sub("", str(value))) for name, value in message.items()]
    except _ODD_MAIL:
        return ParsedMail(text=data.decode("utf-8", "replace"), mime=data, **envelope)
    values: dict[str, list[str]] = {}
    for name, value in encoded:
        values.setdefault(name.lower(), []).append(value)
    # SES takes the request's Destination where there is one; the headers only show.
    if not any(envelope[name] for name in ("to", "cc", "bcc")):
        envelope |= {name: _split(values.get(name, [])) for name in ("to", "cc", "bcc")}
    envelope["reply_to"] = envelope["reply_to"] or _split(values.get("reply-to", []))
    envelope.setdefault("sender", decoded(values.get("from", [""])[-1]))
    bodies: dict[str, str] = {}
    attachments = []
    for number, part in enumerate(parts, 1):
        kind = part.get_content_type()
        if kind in ("text/plain", "text/html") and kind not in bodies and not _is_attached(part):
            bodies[kind] = _part_text(part)
        else:
            attachments.append(_part_attachment(part, number))
    return ParsedMail(
        subject=decoded(values.get("subject", [""])[-1]),
        text=bodies.get("text/plain"),
        html=bodies.get("text/html"),
        header_lines=tuple((name, decoded(value)) for name, value in encoded),
        attachments=tuple(attachments),
        mime=data,
        **envelope,
    )


def _split(headers: list[str]) -> tuple[str, ...]:
    try:
        pairs = people(headers)
    except _ODD_MAIL:
        return tuple(headers)
    # Decoded only now: a name may hold an encoded comma.
    return tuple(f"{decoded(name)} <{address}>" if name else address for name, address in pairs)


def _is_attached(part: Message) -> bool:
    try:
        return part.get_content_disposition() == "attachment" or bool(part.get_filename())
    except _ODD_MAIL:
        return True


def _part_text(part: Message) -> str:
    data = _part_bytes(part)
    try:
        return data.decode(uncommented(part.get_content_charset() or "utf-8"), "replace")
    except _ODD_MAIL:
        return data.decode("utf-8", "replace")


def _part_bytes(part: Message) -> bytes:
    name = "Content-Transfer-Encoding"
    try:
        if name in part:
            part.replace_header(name, uncommented(str(part[name])))
        payload = part.get_payload(decode=True)
    except _ODD_MAIL:
        return b""
    return payload if isinstance(payload, bytes) else b""


def _part_attachment(part: Message, number: int) -> Attachment:
    try:
        name = part.get_filename()
    except _ODD_MAIL:
        name = None
    content_id = str(part.get("Content-ID", "")).strip().removeprefix("<").removesuffix(">")
    return Attachment(
        filename=decoded(name) if name else f"part-{number}",
        content_type=part.get_content_type(),
        content=_part_bytes(part),
        content_id=content_id or None,
    )


def _attachments(value: Any) -> Iterator[Attachment]:
    for number, one in enumerate(value if isinstance(value, list) else [], 1):
        members = _members(one)
        yield Attachment(
            filename=decoded(_text(members.get("FileName")) or f"part-{number}"),
            content_type=_text(members.get("ContentType")) or "application/octet-stream",
            content=_bytes(members.get("RawContent")),
            content_id=_text(members.get("ContentId")),
        )


def _members(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except (ValueError, binascii.Error):
        return b""


def _addresses(value: Any) -> tuple[str, ...]:
    return tuple(decoded(one) for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    for pair in value if isinstance(value, list) else []:
        members = _members(pair)
        name, content = _text(members.get("Name")), _text(members.get("Value"))
        if name is not None and content is not None:
            yield name, content
