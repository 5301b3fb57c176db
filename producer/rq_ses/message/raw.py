"""A mail that exists as MIME already: its bytes are sent as they are, nothing of them is read anew.

    RawMessage(data=path.read_bytes(), to=["ann@example.org"])

It says all that `Message` can't: signed and encrypted mail, invitations, AMP, what another program wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Self, Unpack

from pydantic import AfterValidator, Field, model_validator

from rq_ses.message import address
from rq_ses.message.frozen import EMPTY
from rq_ses.message.limits import MESSAGE_SIZE, MIME_LINE, RECIPIENTS
from rq_ses.message.mime.header import HeaderBlock
from rq_ses.message.mime.lines import long_line
from rq_ses.message.payload import Mailable, Octets, refused
from rq_ses.message.terms import (
    Address,
    Addresses,
    ConfigurationOverrides,
    ConfigurationSet,
    IdentityArn,
    ListManagement,
    Tags,
    Tenant,
    feedback_problems,
)

if TYPE_CHECKING:
    from rq_ses.message.fields import RawFields

MAX_MIME: Final = MESSAGE_SIZE.most // 4 * 3
"""Bytes that base64 makes the most of that SES takes."""


def _mime(data: bytes) -> bytes:
    if len(data) > MAX_MIME:
        raise ValueError(
            f"has {len(data)} bytes, in base64 more than the {MESSAGE_SIZE.most} that SES takes: "
            f"{MAX_MIME} are the most, so send a link to what is large"
        )
    header = HeaderBlock.of(data)
    if header is None:
        raise ValueError(
            "has no blank line after its header: give a mail as it goes over the wire, "
            "such as email_message.as_bytes()"
        )
    if problem := header.problem():
        raise ValueError(problem)
    if b"\0" in data:
        raise ValueError("holds a NUL byte, which no mail may: write that part in base64")
    if line := long_line(data):
        raise ValueError(
            f"line {line} has more than {MIME_LINE.most} bytes, which mail servers cut or refuse: "
            "write that part in quoted-printable or base64, and fold a header"
        )
    return data


class RawMessage(Mailable):
    """One mail as MIME with its envelope, immutable and hashable.

    Addresses of the envelope are `local@domain` or `Name <local@domain>`. Raises pydantic.ValidationError,
    whose problems `rq_ses.explain` puts into words.

    Attributes:
        data (bytes): header, blank line and body, kept byte for byte; 40 MB at most, counted in base64, and
            998 bytes a line.
        to (tuple[str, ...]): who gets it, whatever its header says; a list of 1 to 50 or a single one.
        sender (str | None): one address, which SES writes over the one of the From header; None leaves it.
        tags (Mapping[str, str]): for SES's events; 1 to 256 ASCII letters, digits, `_` and `-` each.
        configuration_set (str | None): the name of one; 1 to 64 such characters.
        from_email_arn (str | None): the ARN of the sender's identity, where it is another account's.
        feedback_to (str | None): the address that SES forwards bounces and complaints to.
        feedback_arn (str | None): the ARN of the identity of `feedback_to`, likewise.
        list_management (ListManagement | None): `{"contact_list": …, "topic": …}` of SES's own lists.
        tenant (str | None): the name of one; 1 to 64 ASCII letters, digits, `_` and `-`.
        configuration_overrides (ConfigurationOverrides | None): `{"open_tracking": …, "click_tracking": …}`,
            true or false for this mail.
    """

    data: Annotated[Octets, AfterValidator(_mime)] = Field(repr=False)
    to: Addresses
    sender: Address | None = None
    tags: Tags = EMPTY
    configuration_set: ConfigurationSet | None = None
    from_email_arn: IdentityArn | None = None
    feedback_to: Address | None = None
    feedback_arn: IdentityArn | None = None
    list_management: ListManagement | None = None
    tenant: Tenant | None = None
    configuration_overrides: ConfigurationOverrides | None = None

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[RawFields]) -> None: ...

    @property
    def recipients(self) -> tuple[str, ...]:
        """Return the addresses of `to`, without display names."""
        return tuple([address.bare(one) for one in self.to])

    @property
    def header(self) -> HeaderBlock:
        """Return what stands above the body, to be shown."""
        return HeaderBlock.of(self.data) or HeaderBlock(b"")

    @property
    def subject(self) -> str:
        """Return the header's subject as text, to be shown; "" if there is none."""
        return self.header.first("Subject") or ""

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        problems = feedback_problems(self.feedback_to, self.feedback_arn)
        if not self.to:
            problems.append(("to", f"no recipient: give 1 to {RECIPIENTS.most}"))
        if self.sender is None and not self.header.first("From"):
            problems.append(("sender", "is missing, and the mail has no From header: give one of them"))
        if problems:
            raise refused("RawMessage", problems)
        return self
