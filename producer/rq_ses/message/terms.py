"""The fields that both kinds of message have, as types that check what they are given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, Strict, model_validator

from rq_ses.contract import JOB_TAG
from rq_ses.message import address, headertext
from rq_ses.message.attachment import Attachment
from rq_ses.message.frozen import Frozen, FrozenMapping
from rq_ses.message.limits import HEADERS, RECIPIENTS
from rq_ses.text.invalid import shown


def _addresses(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError(  # noqa: TRY004 - pydantic turns ValueError alone into a problem of the field
            f"{shown(value)} is not a list of addresses: give a list, or one address as a string"
        )
    if len(value) > RECIPIENTS.most:
        raise ValueError(f"{len(value)} addresses are too many: give {RECIPIENTS.most} at most, in all")
    return value


def _tags(tags: Mapping[str, str]) -> FrozenMapping:
    if taken := next((name for name in tags if name.lower() == JOB_TAG), None):
        raise ValueError(f"{shown(taken)} is the tag that holds the job's id: give another name to yours")
    return FrozenMapping(tags)


_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def _attachments(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is not a list of attachments: give a list")  # noqa: TRY004
    return value


def _body(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which no mail may: remove it")
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError("holds a lone surrogate, which is no character: decode what it came from anew")
    return text


def _headers(headers: Mapping[str, str]) -> FrozenMapping:
    if len(headers) > HEADERS.most:
        raise ValueError(f"{len(headers)} headers are too many: give {HEADERS.most} at most")
    seen: dict[str, str] = {}
    for name, value in headers.items():
        headertext.header_line(name, value)
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise ValueError(f"{shown(twin)} and {shown(name)} are the same header: give it once")
    return FrozenMapping(headers)


_Tag = Annotated[str, Strict(), AfterValidator(headertext.tag)]

Address = Annotated[str, Strict(), AfterValidator(address.normalise)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_addresses)]
Tags = Annotated[Mapping[_Tag, _Tag], AfterValidator(_tags), PlainSerializer(dict, dict[str, str])]
ConfigurationSet = Annotated[str, Strict(), AfterValidator(headertext.configuration_set)]
Tenant = Annotated[str, Strict(), AfterValidator(headertext.tenant)]
IdentityArn = Annotated[str, Strict(), AfterValidator(headertext.identity_arn)]

Line = Annotated[str, Strict(), AfterValidator(headertext.line)]
Body = Annotated[str, Strict(), AfterValidator(_body)]
_HeaderName = Annotated[str, Strict(), AfterValidator(headertext.header_name)]
_HeaderValue = Annotated[str, Strict(), AfterValidator(headertext.header_value)]
Headers = Annotated[
    Mapping[_HeaderName, _HeaderValue], AfterValidator(_headers), PlainSerializer(dict, dict[str, str])
]
Attachments = Annotated[tuple[Attachment, ...], BeforeValidator(_attachments)]

_ContactList = Annotated[str, Strict(), AfterValidator(headertext.contact_list)]
_Switch = Annotated[bool, Strict()]


class ListManagement(Frozen):
    """The contact list of SES, and the topic of it, that a mail belongs to.

    SES then writes the headers for unsubscribing, and sends nothing to a contact who has.

    Attributes:
        contact_list (str): its name.
        topic (str | None): the name of one of its topics.
    """

    contact_list: _ContactList
    topic: _ContactList | None = None


class ConfigurationOverrides(Frozen):
    """What counts for one mail, whatever its configuration set and the account say; None leaves it to them.

    Attributes:
        open_tracking (bool | None): whether SES tracks that it is opened.
        click_tracking (bool | None): whether SES tracks which of its links are followed.
    """

    open_tracking: _Switch | None = None
    click_tracking: _Switch | None = None

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if self.open_tracking is None and self.click_tracking is None:
            raise ValueError("says nothing: give open_tracking, click_tracking or both, as true or false")
        return self


def feedback_problems(feedback_to: str | None, feedback_arn: str | None) -> list[tuple[str, str]]:
    """Return what is wrong with the address for bounces and complaints: the field, and the problem."""
    if feedback_arn is not None and feedback_to is None:
        return [("feedback_arn", "it is the identity of feedback_to, which is missing: give both of them")]
    return []


def attachment_problems(attachments: Sequence[Attachment]) -> list[tuple[str, str]]:
    """Return why attachments can't go with one mail: the field, and the problem."""
    seen: set[str] = set()
    for attachment in attachments:
        if attachment.content_id in seen:
            text = f"content_id {shown(attachment.content_id)} stands twice: give each its own"
            return [("attachments", text)]
        if attachment.content_id:
            seen.add(attachment.content_id)
    return []
