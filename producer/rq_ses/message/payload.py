"""How messages stand in jobs: as JSON, and bytes in it as base64."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, PlainSerializer, Strict, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails

from rq_ses.message.frozen import Frozen

FROM_JSON: Final = object()
"""The context of a validation whose fields were read from JSON, where bytes can only be base64."""


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


Octets = Annotated[bytes, Strict(), BeforeValidator(_bytes), PlainSerializer(_base64, str, when_used="json")]
"""Bytes as a field: in Python they are bytes and never a str, in JSON a string in standard base64."""


class Mailable(Frozen):
    """A model that a job carries as JSON."""

    @classmethod
    def from_payload(cls, fields: Mapping[str, Any]) -> Self:
        """Return the message whose fields json.loads has read: bytes are base64 in them.

        From JSON text it is `model_validate_json`. Raises pydantic.ValidationError.
        """
        # model_validate with all that it may be asked for takes a tenth longer.
        message: Self = cls.__pydantic_validator__.validate_python(fields, context=FROM_JSON)
        return message

    def to_payload(self) -> bytes:
        """Return the message as compact JSON in UTF-8; equal messages give equal bytes."""
        return self.__pydantic_serializer__.to_json(self, exclude_defaults=True)


def refused(model: str, problems: Sequence[tuple[str, str]]) -> ValidationError:
    """Return the error of a model whose fields don't go together: pairs of a field and what is wrong."""
    return ValidationError.from_exception_data(
        model,
        [
            InitErrorDetails(type="value_error", loc=(field,), input=None, ctx={"error": ValueError(text)})
            for field, text in problems
        ],
        hide_input=True,
    )
