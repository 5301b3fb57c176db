"""A campaign: a template and the terms that all its mails have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypedDict, Unpack

from pydantic import AfterValidator, BeforeValidator, Strict, model_validator

from rq_ses.campaign.names import checked_campaign
from rq_ses.campaign.placeholders import Placeholders, find
from rq_ses.campaign.template import Template
from rq_ses.contract import OnUnknown
from rq_ses.message.frozen import EMPTY
from rq_ses.message.limits import MESSAGE_SIZE
from rq_ses.message.payload import Mailable, refused
from rq_ses.message.terms import (
    Address,
    Addresses,
    Attachments,
    ConfigurationOverrides,
    ConfigurationSet,
    Headers,
    IdentityArn,
    Tags,
    Tenant,
    attachment_problems,
    feedback_problems,
)
from rq_ses.message.unsubscribing import Unsubscribe, unsubscribe_problems
from rq_ses.text.invalid import shown
from rq_ses.text.localtime import FORM, checked_moment

if TYPE_CHECKING:
    from rq_ses.message import fields

_SURELY_SMALL: Final = MESSAGE_SIZE.most // 8
"""JSON makes six bytes of a character at most, so less than this needs no exact count."""


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{shown(value)} is no date and time: write {FORM}") from None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        # Seconds would begin anew whenever the campaign is resumed.
        raise ValueError(
            f"{shown(value)} is no moment with an offset: give an aware datetime, such as {FORM}"
        )
    return checked_moment("expires", value).astimezone(UTC)


class CampaignFields(TypedDict, total=False):
    """The arguments of a campaign, by their names."""

    name: str
    template: Template | Mapping[str, Any]
    sender: str
    reply_to: fields.Addresses
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    configuration_set: str | None
    attachments: list[Any] | tuple[Any, ...]
    from_email_arn: str | None
    feedback_to: str | None
    feedback_arn: str | None
    tenant: str | None
    configuration_overrides: ConfigurationOverrides | Mapping[str, bool | None] | None
    unsubscribe: str | None
    on_unknown: OnUnknown | None
    expires: datetime | str | None


class Campaign(Mailable):
    """What all mails of a campaign have in common, immutable and hashable.

    Raises pydantic.ValidationError, whose problems `rq_ses.explain` puts into words.

    Attributes:
        name (str): 1 to 100 ASCII letters, digits, `_`, `.` and `-`. What was sent under a name is never sent
            again under it: each mailing needs one of its own.
        template (Template): what they say.
        sender (str): one address.
        reply_to (tuple[str, ...]): where answers go.
        headers (Mapping[str, str]): as a Message's; an entry's own of the same name count before them.
        tags (Mapping[str, str]): as a Message's; an entry's own of the same name count before them.
        configuration_set (str | None): the name of one.
        attachments (tuple[Attachment, ...]): every recipient gets the same.
        from_email_arn (str | None): as a Message's.
        feedback_to (str | None): as a Message's.
        feedback_arn (str | None): as a Message's.
        tenant (str | None): as a Message's.
        configuration_overrides (ConfigurationOverrides | None): as a Message's.
        unsubscribe (str | None): an https link that unsubscribes by a POST, which becomes two headers (RFC
            8058); `{{name}}` in it is filled with the entry's data, percent-encoded.
        on_unknown (str | None): what becomes of mails that SES may have accepted: "resend" or "hold"; by
            default what the worker's settings say.
        expires (datetime | None): aware datetime after which what is left is failed rather than sent.
    """

    name: Annotated[str, Strict(), AfterValidator(checked_campaign)]
    template: Template
    sender: Address
    reply_to: Addresses = ()
    headers: Headers = EMPTY
    tags: Tags = EMPTY
    configuration_set: ConfigurationSet | None = None
    attachments: Attachments = ()
    from_email_arn: IdentityArn | None = None
    feedback_to: Address | None = None
    feedback_arn: IdentityArn | None = None
    tenant: Tenant | None = None
    configuration_overrides: ConfigurationOverrides | None = None
    unsubscribe: Unsubscribe | None = None
    on_unknown: OnUnknown | None = None
    expires: Annotated[datetime, BeforeValidator(_moment)] | None = None

    if TYPE_CHECKING:
        # Without pydantic's plugin a type checker takes the attributes' types for those of the arguments.
        def __init__(self, **fields: Unpack[CampaignFields]) -> None: ...

    @property
    def link_placeholders(self) -> Placeholders:
        """Those of `unsubscribe`."""
        return find(self.unsubscribe or "")

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        problems = [
            *attachment_problems(self.attachments),
            *feedback_problems(self.feedback_to, self.feedback_arn),
            *unsubscribe_problems(self.unsubscribe, self.headers, listed=False),
            *self._link_problems(),
        ]
        if (
            not problems
            and self._rough_size() > _SURELY_SMALL
            and (size := len(self.to_payload())) > MESSAGE_SIZE.most
        ):
            problems = [
                (
                    "attachments" if self.attachments else "template",
                    f"template and attachments have {size} bytes, these in base64: SES takes "
                    f"{MESSAGE_SIZE.most}, so send a link to what is large",
                )
            ]
        if problems:
            raise refused("Campaign", problems)
        return self

    def _link_problems(self) -> list[tuple[str, str]]:
        try:
            find(self.unsubscribe or "")
        except ValueError:
            # The link is a secret of its recipient's, so it isn't quoted.
            return [("unsubscribe", "{{ begins no placeholder in it: write {{name}}, or %7B%7B")]
        return []

    def _rough_size(self) -> int:
        template = self.template
        texts = len(template.subject or "") + len(template.text or "") + len(template.html or "")
        return texts + sum(len(attachment.content) + 2000 for attachment in self.attachments)
