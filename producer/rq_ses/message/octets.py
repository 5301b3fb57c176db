"""Bytes as a field: in Python they are bytes and never a str, in JSON a string in standard base64."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, Strict, ValidationInfo

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
