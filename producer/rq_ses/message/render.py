"""A message as the request of SES v2's SendEmail, exact to AWS's model; nothing empty is written."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic_core import to_json

from rq_ses.contract import JOB_TAG
from rq_ses.message.address import encoded
from rq_ses.message.attachment import Attachment
from rq_ses.message.limits import TAG
from rq_ses.message.message import Message
from rq_ses.message.mime.header import SES_TAGS, may_have
from rq_ses.message.raw import RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.message.terms import ConfigurationOverrides, ListManagement
from rq_ses.message.unsubscribing import unsubscribe_headers

_ENCODINGS: Final = {"base64": "BASE64", "quoted-printable": "QUOTED_PRINTABLE", "7bit": "SEVEN_BIT"}
"""MIME's names (RFC 2045, 6.1), and SES's."""


_SELDOM: Final = frozenset(
    {
        *("from_email_arn", "feedback_to", "feedback_arn"),
        *("list_management", "tenant", "configuration_overrides"),
    }
)


def send_email_body(message: AnyMessage, job_id: str = "") -> bytes:
    """Return the request as compact JSON in UTF-8: the bytes to sign and to send."""
    return to_json(send_email_request(message, job_id))


def send_email_request(message: AnyMessage, job_id: str = "") -> dict[str, Any]:
    """Return the request as AWS's model names it, bytes in base64; the job's id becomes a tag of the mail."""
    request = _raw_request(message) if isinstance(message, RawMessage) else _simple_request(message)
    if tags := _tags(message, job_id):
        request["EmailTags"] = tags
    if message.configuration_set:
        request["ConfigurationSetName"] = message.configuration_set
    if not _SELDOM.isdisjoint(message.model_fields_set):
        request |= {member: value for member, value in _seldom(message) if value is not None}
    return request


def _tags(message: AnyMessage, job_id: str) -> list[dict[str, str]]:
    pairs = _pairs(message.tags) if message.tags else []
    if not 0 < len(job_id) <= TAG.most:
        return pairs
    if not pairs and isinstance(message, RawMessage) and may_have(message.data, SES_TAGS):
        # Beside tags of the request SES passes over those of the header.
        stated = message.header.ses_tags()
        if stated is None:
            return []
        stated.pop(JOB_TAG, None)
        pairs = _pairs(stated)
    pairs.append({"Name": JOB_TAG, "Value": job_id})
    return pairs


def _seldom(message: AnyMessage) -> Iterator[tuple[str, Any]]:
    """Yield the members of the fields that few messages have; None is one that this one hasn't."""
    feedback, listed, overrides = (
        message.feedback_to,
        message.list_management,
        message.configuration_overrides,
    )
    yield "FromEmailAddressIdentityArn", message.from_email_arn
    yield "FeedbackForwardingEmailAddress", None if feedback is None else encoded(feedback)
    yield "FeedbackForwardingEmailAddressIdentityArn", message.feedback_arn
    yield "TenantName", message.tenant
    yield "ListManagementOptions", None if listed is None else _list(listed)
    yield "ConfigurationOverrides", None if overrides is None else {"Tracking": rendered_tracking(overrides)}


def _list(listed: ListManagement) -> dict[str, str]:
    topic = {} if listed.topic is None else {"TopicName": listed.topic}
    return {"ContactListName": listed.contact_list, **topic}


def rendered_tracking(overrides: ConfigurationOverrides) -> dict[str, str]:
    """Return what is tracked of a mail as AWS's model names it."""
    switches = {
        "OpenTrackingEnabled": overrides.open_tracking,
        "ClickTrackingEnabled": overrides.click_tracking,
    }
    return {name: "ENABLED" if on else "DISABLED" for name, on in switches.items() if on is not None}


def _simple_request(message: Message) -> dict[str, Any]:
    request: dict[str, Any] = {
        "FromEmailAddress": encoded(message.sender),
        "Destination": _destination(message),
        "Content": {"Simple": _simple(message)},
    }
    if message.reply_to:
        request["ReplyToAddresses"] = _encoded_all(message.reply_to)
    return request


def _raw_request(message: RawMessage) -> dict[str, Any]:
    # The destination is the envelope: SES then asks no header who gets it.
    request: dict[str, Any] = {
        "Destination": {"ToAddresses": _encoded_all(message.to)},
        "Content": {"Raw": {"Data": b64encode(message.data).decode("ascii")}},
    }
    if message.sender:
        request["FromEmailAddress"] = encoded(message.sender)
    return request


def _destination(message: Message) -> dict[str, list[str]]:
    destination = {}
    if message.to:
        destination["ToAddresses"] = _encoded_all(message.to)
    if message.cc:
        destination["CcAddresses"] = _encoded_all(message.cc)
    if message.bcc:
        destination["BccAddresses"] = _encoded_all(message.bcc)
    return destination


def _simple(message: Message) -> dict[str, Any]:
    body = {}
    if message.text:
        body["Text"] = _content(message.text)
    if message.html:
        body["Html"] = _content(message.html)
    simple: dict[str, Any] = {"Subject": _content(message.subject), "Body": body}
    if headers := _headers(message):
        simple["Headers"] = _pairs(headers)
    if message.attachments:
        simple["Attachments"] = [rendered_attachment(attachment) for attachment in message.attachments]
    return simple


def _headers(message: Message) -> Mapping[str, str]:
    if message.unsubscribe is None:
        return message.headers
    return {**message.headers, **unsubscribe_headers(message.unsubscribe)}


def _content(text: str) -> dict[str, str]:
    # SES takes text for 7-bit ASCII unless it is told.
    return {"Data": text} if text.isascii() else {"Data": text, "Charset": "UTF-8"}


def rendered_attachment(attachment: Attachment) -> dict[str, str]:
    """Return an attachment as AWS's model names it, its content in base64."""
    rendered = {
        "RawContent": b64encode(attachment.content).decode("ascii"),
        "FileName": attachment.filename,
        "ContentType": attachment.content_type,
        "ContentDisposition": (
            attachment.disposition or ("inline" if attachment.content_id else "attachment")
        ).upper(),
    }
    if attachment.content_id:
        rendered["ContentId"] = attachment.content_id
    if attachment.transfer_encoding:
        rendered["ContentTransferEncoding"] = _ENCODINGS[attachment.transfer_encoding]
    if attachment.description:
        rendered["ContentDescription"] = attachment.description
    return rendered


def _encoded_all(addresses: tuple[str, ...]) -> list[str]:
    return [encoded(address) for address in addresses]


def _pairs(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs.items()]
