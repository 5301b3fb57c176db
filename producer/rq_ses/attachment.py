"""A file that goes with a message."""

from __future__ import annotations

import mimetypes
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    model_validator,
)

from rq_ses import headertext

_UNKNOWN_TYPE: Final = "application/octet-stream"


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except ValueError as exc:
            # Not chained: nothing of the content may get out.
            raise ValueError(
                f"is a string but not base64 ({_why(exc)}): give bytes, or standard base64 on one line"
            ) from None
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def _why(exc: ValueError) -> str:
    reason = str(exc)
    return reason[:1].lower() + reason[1:80]


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


class Attachment(BaseModel):
    """One file: in Python its content is bytes, in JSON a string in standard base64.

    With a `content_id` it is inline, and HTML shows it as `<img src="cid:THE_ID">`. The type is guessed from
    the file's name if it isn't given. Raises pydantic.ValidationError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    filename: Annotated[str, Strict(), AfterValidator(headertext.filename)]
    content: Annotated[
        bytes, Strict(), BeforeValidator(_bytes), PlainSerializer(_base64, str, when_used="json")
    ] = Field(repr=False)
    content_type: Annotated[str, Strict(), AfterValidator(headertext.content_type)] = ""
    content_id: Annotated[str, Strict(), AfterValidator(headertext.content_id)] | None = None
    description: Annotated[str, Strict(), AfterValidator(headertext.content_description)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _guess_type(cls, fields: Any) -> Any:
        # The default, "", is never a value: so the type stands in every payload, and is guessed only once.
        if isinstance(fields, Mapping) and fields.get("content_type") is None:
            name = fields.get("filename")
            return {**fields, "content_type": _guessed(name) if isinstance(name, str) else _UNKNOWN_TYPE}
        return fields


def _guessed(name: str) -> str:
    kind, encoding = _known_types().guess_type("/" + name.rpartition("/")[2])
    return _UNKNOWN_TYPE if kind is None or encoding else kind


@cache
def _known_types() -> mimetypes.MimeTypes:
    # Python's own table alone: the same message is the same on every machine.
    return mimetypes.MimeTypes()
