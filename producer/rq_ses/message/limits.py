"""How much a message and each of its parts may have: each limit with its number, its unit and its source.

What is checked, what the errors say and what docs/messages.md promises all come from here (a test compares
the page). The limits are SES's unless their source says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_API: Final = "https://docs.aws.amazon.com/ses/latest/APIReference-V2"


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something.

    Attributes:
        name: of what.
        most: how many units; that many are allowed.
        unit: what is counted.
        source: the page, or the RFC, that says so.
    """

    name: str
    most: int
    unit: str
    source: str


RECIPIENTS: Final = Limit(
    "to, cc and bcc together", 50, "addresses", "https://docs.aws.amazon.com/ses/latest/dg/quotas.html"
)
"""At least one is needed. `reply_to` is held to the same number, which is ours."""

MESSAGE_SIZE: Final = Limit(
    "the whole message", 40 * 1024 * 1024, "bytes", "https://docs.aws.amazon.com/ses/latest/dg/quotas.html"
)
"""Attachments, and raw MIME, are counted in base64."""

MIME_LINE: Final = Limit("a line of raw MIME", 998, "octets", "RFC 5322, 2.1.1")
"""Without the line break."""

HEADERS: Final = Limit("headers", 15, "headers", f"{_API}/API_Message.html")
HEADER_NAME: Final = Limit("a header's name", 126, "characters", f"{_API}/API_MessageHeader.html")
HEADER_VALUE: Final = Limit("a header's value", 995, "characters", f"{_API}/API_MessageHeader.html")
HEADER_LINE: Final = Limit(
    "a header's name and value together", 996, "characters", f"{_API}/API_MessageHeader.html"
)

TAG: Final = Limit("a tag's name or value", 256, "characters", f"{_API}/API_MessageTag.html")
CONFIGURATION_SET: Final = Limit(
    "a configuration set's name", 64, "characters", f"{_API}/API_CreateConfigurationSet.html"
)

TEMPLATE: Final = Limit(
    "a stored template's name",
    64,
    "characters",
    "https://docs.aws.amazon.com/ses/latest/APIReference/API_Template.html",
)
TEMPLATE_DATA: Final = Limit(
    "an entry's data as JSON", 262_144, "characters", f"{_API}/API_ReplacementTemplate.html"
)
TENANT: Final = Limit("a tenant's name", 64, "characters", f"{_API}/API_CreateTenant.html")
CONTACT_LIST: Final = Limit("a contact list's or topic's name", 256, "characters", "ours: SES names no bound")
ARN: Final = Limit("an ARN", 2048, "characters", "ours: no longer text is read")

FILENAME: Final = Limit("an attachment's filename", 255, "characters", f"{_API}/API_Attachment.html")
CONTENT_TYPE: Final = Limit("an attachment's content_type", 78, "characters", f"{_API}/API_Attachment.html")
CONTENT_ID: Final = Limit("an attachment's content_id", 78, "characters", f"{_API}/API_Attachment.html")
CONTENT_DESCRIPTION: Final = Limit(
    "an attachment's description", 1000, "characters", f"{_API}/API_Attachment.html"
)

LOCAL_PART: Final = Limit("an address before its @", 64, "octets", "RFC 5321, 4.5.3.1.1")
"""Quotes and escapes included."""

DISPLAY_NAME: Final = Limit("a display name", 256, "characters", "ours; SES's own is on the header's line")
ADDRESS: Final = Limit("an address with its display name", 1024, "characters", "ours: no longer text is read")
