"""What `Message(...)` takes, for type checkers: more than the types that its attributes have afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Required, TypedDict

from rq_ses.message.attachment import Attachment

Addresses = str | list[str] | tuple[str, ...]


class Fields(TypedDict, total=False):
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
    tags: Mapping[str, str]
    configuration_set: str | None
    attachments: list[Attachment] | tuple[Attachment, ...]
