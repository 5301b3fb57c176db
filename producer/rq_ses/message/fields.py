"""What messages take, for type checkers: more than the types that their attributes have afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Required, TypedDict

from rq_ses.message.attachment import Attachment
from rq_ses.message.terms import ConfigurationOverrides, ListManagement

Addresses = str | list[str] | tuple[str, ...]


class Terms(TypedDict, total=False):
    """The arguments that both kinds of message take."""

    tags: Mapping[str, str]
    configuration_set: str | None
    from_email_arn: str | None
    feedback_to: str | None
    feedback_arn: str | None
    list_management: ListManagement | Mapping[str, str | None] | None
    tenant: str | None
    configuration_overrides: ConfigurationOverrides | Mapping[str, bool | None] | None


class Fields(Terms, total=False):
    """The arguments of a message, by their names."""

    sender: Required[str]
    to: Addresses
    cc: Addresses
    bcc: Addresses
    reply_to: Addresses
    subject: Required[str]
    text: str | None
    html: str | None
    headers: Mapping[str, str]
    attachments: list[Attachment] | tuple[Attachment, ...]
    unsubscribe: str | None


class RawFields(Terms, total=False):
    """The arguments of a raw message, by their names."""

    data: Required[bytes | bytearray | memoryview]
    to: Required[Addresses]
    sender: str | None
