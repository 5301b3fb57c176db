"""Messages as lines of JSON: a Message each, with optional `key`, `at`, `delay` and `expires`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from rq_ses.message import Message, explain
from rq_ses.outbox import Submission


class _Terms(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    at: AwareDatetime | None = None
    delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    expires: Annotated[float | AwareDatetime, Field(union_mode="left_to_right")] | None = None


_TERMS = frozenset(_Terms.model_fields)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input: its number, and what to enqueue or what is wrong with it."""

    number: int
    submission: Submission | None
    problem: str = ""


def read_lines(source: Iterable[bytes]) -> Iterator[Line]:
    """Read JSON lines one by one; blank ones are passed over, bad ones come with their problem."""
    for number, raw in enumerate(source, 1):
        if raw.strip():
            yield _read(number, raw)


def _read(number: int, raw: bytes) -> Line:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        reason = "nested too deep" if isinstance(exc, RecursionError) else str(exc)
        return Line(number, None, f"not JSON: {reason}")
    if not isinstance(fields, dict):
        return Line(number, None, "not a JSON object: write one Message a line")
    terms = {name: fields.pop(name) for name in _TERMS & fields.keys()}
    problems: list[str] = []
    message = agreed = None
    try:
        message = Message.model_validate(fields)
    except ValidationError as exc:
        problems += explain(exc)
    try:
        agreed = _Terms.model_validate(terms)
    except ValidationError as exc:
        problems += explain(exc)
    if message is None or agreed is None:
        return Line(number, None, "; ".join(problems))
    if agreed.at is not None and agreed.delay is not None:
        return Line(number, None, "at and delay: both were given: give one of them")
    return Line(number, Submission(message, agreed.key, agreed.at, agreed.delay, agreed.expires))
