"""Messages as lines of JSON: one of either kind each, with the terms of a Submission where it has any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rq_ses.contract import YEARS
from rq_ses.message.message import explain
from rq_ses.message.reading import read_message
from rq_ses.outbox.submission import KEY_LIMIT, OnUnknown, Priority, Submission
from rq_ses.text import textfile
from rq_ses.text.invalid import shown
from rq_ses.text.localtime import FORM
from rq_ses.text.plaintext import one_line

LINE_LIMIT: Final = 128 * 1024 * 1024
"""Bytes of a line: the largest mail, even with most of its text in JSON's six-byte escapes."""


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError(f"{shown(value)} is no date and time: write {FORM}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{shown(value)} has no offset from UTC: write {FORM}")
    return moment


def _expiry(value: Any) -> datetime | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= YEARS:
            raise ValueError(f"{shown(value)} is out of range: give 0 to {YEARS} seconds")
        return float(value)
    return _moment(value)


class _Terms(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(strict=True, min_length=1, max_length=KEY_LIMIT)] | None = None
    at: Annotated[datetime, BeforeValidator(_moment)] | None = None
    delay: Annotated[float, Field(strict=True, ge=0, le=YEARS, allow_inf_nan=False)] | None = None
    expires: Annotated[datetime | float, BeforeValidator(_expiry)] | None = None
    on_unknown: OnUnknown | None = None
    priority: Priority = "normal"


_TERMS = frozenset(_Terms.model_fields)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input: its number, and what to enqueue or what is wrong with it.

    `size` is how far it brings the reader: its bytes and those of blank lines before it.
    """

    number: int
    size: int
    submission: Submission | None
    problem: str = ""


def read_lines(source: BinaryIO, *, limit: int = LINE_LIMIT) -> Iterator[Line]:
    """Read JSON lines one by one; blank ones are passed over, bad ones come with their problem.

    Of a line longer than `limit` bytes no more than that is ever in memory. Raises NotText, before the first
    line, if the file is in another encoding than UTF-8.
    """
    for number, raw, size in textfile.read_lines(source, limit=limit):
        if raw is None:
            yield Line(number, size, None, f"longer than {limit} bytes: SES takes no such mail")
        else:
            yield _read(number, size, raw)


def _read(number: int, size: int, raw: bytes) -> Line:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        return Line(number, size, None, f"not JSON: {_reason(exc)}")
    if not isinstance(fields, dict):
        return Line(number, size, None, "not a JSON object: write one Message a line")
    terms = {name: fields.pop(name) for name in _TERMS & fields.keys()}
    problems: list[str] = []
    message = agreed = None
    try:
        message = read_message(fields)
    except ValidationError as exc:
        problems += explain(exc)
    try:
        agreed = _Terms.model_validate(terms)
    except ValidationError as exc:
        problems += explain(exc)
    if agreed is not None and agreed.at is not None and agreed.delay is not None:
        problems.append("at and delay: both were given: give one of them")
    if message is None or agreed is None or problems:
        return Line(number, size, None, "; ".join(problems))
    return Line(number, size, Submission(message, **dict(agreed)))


def _reason(exc: ValueError | RecursionError) -> str:
    if isinstance(exc, RecursionError):
        return "nested too deep"
    if isinstance(exc, json.JSONDecodeError):
        # Its own text counts lines, too, and would name a second one.
        return f"{exc.msg} (character {exc.pos + 1})"
    if isinstance(exc, UnicodeDecodeError):
        return f"byte {exc.start + 1} is not UTF-8"
    return one_line(str(exc), 200)
