"""The members of a request, checked as SES checks them, in its words."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rq_ses_worker.simulator.api.answers import NOT_JSON, Refused, bad_request

_MAX_DEPTH: Final = 100
"""Levels of JSON in JSON; deeper ones are refused as no JSON."""


def json_of(text: bytes | str) -> Any:
    """Return what a text says as JSON. Raises Refused."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise Refused(NOT_JSON) from exc
    opening = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    brackets = sum(map(text.count, opening))  # type: ignore[arg-type]
    if brackets > _MAX_DEPTH and any(depth > _MAX_DEPTH for depth, _ in walk(value)):
        raise Refused(NOT_JSON)
    return value


def walk(value: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value in `value` with its depth, without recursion: depth is the client's choice."""
    left = [(1, value)]
    while left:
        depth, value = left.pop()
        yield depth, value
        if isinstance(value, Mapping):
            left += [(depth + 1, member) for member in value.values()]
        elif isinstance(value, list):
            left += [(depth + 1, member) for member in value]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_pairs(value: Any, where: str, name: re.Pattern[str], content: re.Pattern[str]) -> None:
    """Check a list of names and values by their patterns. Raises Refused, as all here do."""
    for number, pair in enumerate(items_of(value, where), 1):
        pair = members_of(pair, f"{where}.{number}.member")
        for key, pattern in (("Name", name), ("Value", content)):
            member = f"{where}.{number}.member.{key.lower()}"
            if pair.get(key) is None:
                raise missing(member)
            if not isinstance(pair[key], str) or not pattern.fullmatch(pair[key]):
                raise constraint(member, f"satisfy regular expression pattern: {pattern.pattern}")


def members_of(value: Any, where: str) -> dict[str, Any]:
    """Return an object."""
    if value is None:
        raise missing(where)
    if not isinstance(value, dict):
        raise constraint(where, "be an object")
    return value


def items_of(value: Any, where: str) -> list[Any]:
    """Return a list; none is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise constraint(where, "be a list")
    return value


def strings_of(members: Mapping[str, Any], name: str) -> list[str]:
    """Return the strings in a member that is a list of them."""
    values = items_of(members.get(name), name)
    if not all(isinstance(value, str) for value in values):
        raise constraint(name, "hold nothing but strings")
    return values


def check_data(value: Any, where: str) -> None:
    """Check a content: an object whose data is a string."""
    data = members_of(value, where).get("Data")
    if data is None:
        raise missing(f"{where}.data")
    if not isinstance(data, str):
        raise constraint(f"{where}.data", "be a string")


def blob_of(value: Any, where: str) -> bytes:
    """Return bytes that stand as base64."""
    if value is None:
        raise missing(where)
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, TypeError, binascii.Error) as exc:
        raise constraint(where, "be base64") from exc


def bad(message: str | None) -> Refused:
    """Return a BadRequestException in these words."""
    return Refused(bad_request(message))


def constraint(where: str, constraint: str) -> Refused:
    """Return what SES says of a member that isn't as its model has it."""
    where = f"Value at '{where}' failed to satisfy constraint"
    return bad(f"1 validation error detected: {where}: Member must {constraint}")


def missing(where: str) -> Refused:
    """Return what SES says of a member that must be there."""
    return constraint(where, "not be null")


def check_text(value: Any, where: str, pattern: re.Pattern[str]) -> None:
    """Check a member that may be missing: a string as its pattern has it."""
    if value is not None and (not isinstance(value, str) or not pattern.fullmatch(value)):
        raise constraint(where, f"satisfy regular expression pattern: {pattern.pattern}")


def check_word(value: Any, where: str, words: tuple[str, ...]) -> None:
    """Check a member that may be missing: one of the words that its model knows."""
    if value is not None and value not in words:
        raise constraint(where, f"satisfy enum value set: [{', '.join(words)}]")


def page_size_of(given: str | None, usual: int, most: int) -> int:
    """Return how many a list is to have of what a query says, `usual` where it says nothing."""
    if given is None:
        return usual
    digits = given.isascii() and given.isdecimal() and len(given) <= len(str(most))
    if not (digits and 1 <= int(given) <= most):
        raise constraint("pageSize", f"have value between 1 and {most}")
    return int(given)
