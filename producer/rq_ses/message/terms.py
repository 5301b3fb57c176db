"""The fields that both kinds of message have, as types that check what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, Strict

from rq_ses.message import address, headertext
from rq_ses.message.frozen import FrozenMapping
from rq_ses.message.limits import RECIPIENTS
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


_Tag = Annotated[str, Strict(), AfterValidator(headertext.tag)]

Address = Annotated[str, Strict(), AfterValidator(address.normalise)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_addresses)]
Tags = Annotated[Mapping[_Tag, _Tag], AfterValidator(FrozenMapping), PlainSerializer(dict, dict[str, str])]
ConfigurationSet = Annotated[str, Strict(), AfterValidator(headertext.configuration_set)]
