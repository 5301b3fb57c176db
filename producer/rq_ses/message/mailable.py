"""What both kinds of message have in common: how they stand in a job, and how they tell what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from rq_ses.message.frozen import Frozen
from rq_ses.message.octets import FROM_JSON


class Mailable(Frozen):
    """A model that a job carries as JSON."""

    @classmethod
    def from_payload(cls, fields: Mapping[str, Any]) -> Self:
        """Return the message whose fields json.loads has read: bytes are base64 in them.

        From JSON text it is `model_validate_json`. Raises pydantic.ValidationError.
        """
        return cls.model_validate(fields, context=FROM_JSON)

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
