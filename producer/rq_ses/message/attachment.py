"""A file that goes with a message."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    ValidationInfo,
    model_validator,
)

from rq_ses.message import headertext
from rq_ses.message.filetype import UNKNOWN, filetype
from rq_ses.message.frozen import FROZEN, changed

FROM_JSON: Final = object()
"""The context of a validation whose fields were read from JSON, where content can only be base64."""


def _bytes(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        # Text and base64 look alike ("Hello123" is both), so where it comes from decides, and not its looks.
        if info.mode != "json" and info.context is not FROM_JSON:
            raise ValueError(
                "is a str: give bytes, such as text.encode() or path.read_bytes() (base64 is for JSON alone)"
            )
        try:
            return b64decode(value, validate=True)
        except ValueError as exc:
            # Not chained: nothing of the content may get out.
            raise ValueError(f"is not base64 ({_why(exc)}): give standard base64 on one line") from None
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def _why(exc: ValueError) -> str:
    reason = str(exc)
    return reason[:1].lower() + reason[1:80]


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


class Attachment(BaseModel):
    """One file: in Python its content is bytes and never a str, in JSON a string in standard base64.

    With a `content_id` it is inline, and HTML shows it as `<img src="cid:THE_ID">`. A type that isn't given
    is the one that the file's name tells, the same on every machine. Raises pydantic.ValidationError.

    Attributes:
        filename (str): the name that the recipient sees; 1 to 255 characters.
        content (bytes): what is in the file; `text.encode()` of a text, `path.read_bytes()` of a file.
        content_type (str): a MIME type, with parameters or without; 78 characters at most.
        content_id (str | None): what HTML calls it; 1 to 78 printable ASCII characters, each once a mail.
        description (str | None): one line of 1 to 1,000 characters.
    """

    model_config = FROZEN

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
            return {**fields, "content_type": filetype(name) if isinstance(name, str) else UNKNOWN}
        return fields

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, some fields with other values, which are judged as those of a new attachment.

        Raises pydantic.ValidationError.
        """
        if not update:
            return super().model_copy(deep=deep)
        return changed(self, update)
