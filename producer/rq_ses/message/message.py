"""What to send: a message, valid from the moment it is built.

    Message(sender="Shop <shop@example.com>", to="ann@example.org", subject="Your order", text="On its way.")

What a producer builds is what a worker builds again from the queue, by the same rules; so a message that was
accepted here fails there only for what SES alone can know.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from pydantic import Field, ValidationError, model_validator

from rq_ses.message import address
from rq_ses.message.attachment import Attachment
from rq_ses.message.frozen import EMPTY
from rq_ses.message.limits import MESSAGE_SIZE, RECIPIENTS
from rq_ses.message.payload import Mailable, refused
from rq_ses.message.raw import RawMessage
from rq_ses.message.terms import (
    Address,
    Addresses,
    Attachments,
    Body,
    ConfigurationOverrides,
    ConfigurationSet,
    Headers,
    IdentityArn,
    Line,
    ListManagement,
    Tags,
    Tenant,
    attachment_problems,
    feedback_problems,
)
from rq_ses.message.unsubscribing import Unsubscribe, unsubscribe_problems
from rq_ses.text import suggestion  # noqa: F401 - for explain, even where no descriptor is left by then
from rq_ses.text.invalid import explain

if TYPE_CHECKING:
    import email.message

    from rq_ses.message.fields import Fields, Terms

__all__ = ["Attachment", "Message", "explain"]

MAX_BYTES: Final = MESSAGE_SIZE.most
_SURELY_SMALL: Final = MAX_BYTES // 8
"""JSON makes six bytes of a character at most, so less than this needs no exact count."""

_TOGETHER: Final = frozenset({"feedback_arn", "unsubscribe"})
"""Fields that few messages have, and that not every other one goes together with."""


class Message(Mailable):
    """One mail, immutable and hashable.

    Addresses are `local@domain` or `Name <local@domain>`; domains are kept in their ASCII form. Raises
    pydantic.ValidationError, whose problems `explain` puts into words.

    Attributes:
        sender (str): one address.
        to (tuple[str, ...]): a list of addresses or a single one; 1 to 50 in `to`, `cc` and `bcc` together.
        cc (tuple[str, ...]): recipients of a copy.
        bcc (tuple[str, ...]): recipients of a blind copy.
        reply_to (tuple[str, ...]): where answers go.
        subject (str): one line.
        text (str | None): the plain text; at least one of `text` and `html` must be given.
        html (str | None): the same as HTML.
        headers (Mapping[str, str]): 15 at most, of printable ASCII; none that SES or a field sets.
        tags (Mapping[str, str]): for SES's events; 1 to 256 ASCII letters, digits, `_` and `-` each.
        configuration_set (str | None): the name of one; 1 to 64 such characters.
        attachments (tuple[Attachment, ...]): the whole message has 40 MB at most, these counted in base64.
        from_email_arn (str | None): the ARN of the sender's identity, where it is another account's.
        feedback_to (str | None): the address that SES forwards bounces and complaints to.
        feedback_arn (str | None): the ARN of the identity of `feedback_to`, likewise.
        list_management (ListManagement | None): `{"contact_list": …, "topic": …}` of SES's own lists.
        tenant (str | None): the name of one; 1 to 64 ASCII letters, digits, `_` and `-`.
        configuration_overrides (ConfigurationOverrides | None): `{"open_tracking": …, "click_tracking": …}`,
            true or false for this mail.
        unsubscribe (str | None): an https link that unsubscribes by a POST, which becomes two headers
            (RFC 8058).
    """

    sender: Address
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    reply_to: Addresses = ()
    subject: Line
    text: Body | None = Field(default=None, repr=False)
    html: Body | None = Field(default=None, repr=False)
    headers: Headers = EMPTY
    tags: Tags = EMPTY
    configuration_set: ConfigurationSet | None = None
    attachments: Attachments = ()
    from_email_arn: IdentityArn | None = None
    feedback_to: Address | None = None
    feedback_arn: IdentityArn | None = None
    list_management: ListManagement | None = None
    tenant: Tenant | None = None
    configuration_overrides: ConfigurationOverrides | None = None
    unsubscribe: Unsubscribe | None = None

    if TYPE_CHECKING:
        # Without pydantic's plugin a type checker takes the attributes' types for those of the arguments.
        def __init__(self, **fields: Unpack[Fields]) -> None: ...

    @property
    def recipients(self) -> tuple[str, ...]:
        """Return the addresses of to, cc and bcc, without display names."""
        return tuple([address.bare(one) for one in (*self.to, *self.cc, *self.bcc)])

    @classmethod
    def from_email(
        cls,
        email: email.message.Message[Any, Any],
        *,
        sender: str | None = None,
        recipients: str | Sequence[str] | None = None,
        **terms: Unpack[Terms],
    ) -> Message | RawMessage:
        """Return a mail of the standard library as a Message where that says the same, else as a RawMessage.

        What a Message can't say (signatures, invitations, AMP, …) stays as the bytes it is. A Bcc is taken
        out of them and is in the envelope alone.

        Args:
            email: an EmailMessage, or one of the older kind.
            sender: an address in place of the one in its From header.
            recipients: who gets it, if not those of To, Cc and Bcc (of a resent mail: Resent-To, …).
            terms: fields that both kinds have, such as `tags`.

        Raises:
            ValueError: it can't be written as MIME; or (pydantic.ValidationError) it can't be sent.
            TypeError: it is no mail of the standard library.
        """
        # Here, for few programs have such mails, and reading them takes more modules than all the rest.
        from rq_ses.message.mime.simple import envelope_of, mime_of, simple_fields

        mime = mime_of(email)
        given = (recipients,) if isinstance(recipients, str) else recipients
        fields = simple_fields(email, mime, sender, given)
        if fields is not None:
            # What a Message doesn't take, such as a sixteenth header, a RawMessage may.
            with suppress(ValidationError):
                return cls(**fields, **terms)
        to = envelope_of(email) if given is None else given
        return RawMessage(data=mime, to=list(to), sender=sender, **terms)

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        problems = self._recipient_problems() + self._body_problems()
        if self.attachments:
            problems += attachment_problems(self.attachments)
        if not _TOGETHER.isdisjoint(self.model_fields_set):
            problems += feedback_problems(self.feedback_to, self.feedback_arn)
            listed = self.list_management is not None
            problems += unsubscribe_problems(self.unsubscribe, self.headers, listed=listed)
        if problems:
            raise refused("Message", problems)
        return self

    def _recipient_problems(self) -> list[tuple[str, str]]:
        count = len(self.to) + len(self.cc) + len(self.bcc)
        if not count:
            return [("to", f"no recipient in to, cc and bcc: give 1 to {RECIPIENTS.most}")]
        if count > RECIPIENTS.most:
            return [("to", f"{count} recipients in to, cc and bcc: give {RECIPIENTS.most} at most")]
        return []

    def _body_problems(self) -> list[tuple[str, str]]:
        text, html = self.text, self.html
        if not (text or html):
            return [("text", "both text and html are empty: give at least one of them")]
        small = len(self.subject) + len(text or "") + len(html or "") <= _SURELY_SMALL
        return [] if small and not (self.tags or self.attachments) else self._size_problems()

    def _size_problems(self) -> list[tuple[str, str]]:
        rough = {
            "subject": len(self.subject),
            "text": len(self.text or ""),
            "html": len(self.html or ""),
            "tags": 600 * len(self.tags),
            "attachments": sum([len(attachment.content) + 2000 for attachment in self.attachments]),
        }
        if sum(rough.values()) > _SURELY_SMALL and (size := len(self.to_payload())) > MAX_BYTES:
            return [
                (
                    max(rough, key=lambda field: rough[field]),
                    f"the message has {size} bytes, attachments in base64: "
                    f"SES takes {MAX_BYTES}, so send a link to what is large",
                )
            ]
        return []
