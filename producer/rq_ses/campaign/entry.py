"""An entry: one recipient of a campaign, with what their mail says alone.

A campaign has millions of them, so what most entries are (a plain address, a few words of data) is judged by
a few lines here; all else by a model. The same is taken and refused by both, which a test compares.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import from_json, to_json

from rq_ses.message import address
from rq_ses.message.frozen import EMPTY, Frozen
from rq_ses.message.limits import TEMPLATE_DATA
from rq_ses.message.terms import Address, Headers, Tags
from rq_ses.text.invalid import shown
from rq_ses.text.keytext import checked_key, is_unicode

Data = Mapping[str, Any]

_NAME_LIMIT: Final = 256
_UNFIT: Final = re.compile(r"[\0\ud800-\udfff]")
_DEEPEST: Final = 20
_NAME_ROOM: Final = 6 * _NAME_LIMIT + 6
"""Characters of JSON that a name, and what stands around it, take at most."""
_NAMES_KEPT: Final = 1000


def _data(data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"{shown(data)} is not a mapping: give names and values")  # noqa: TRY004
    for name in data:
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_LIMIT or _UNFIT.search(name):
            raise ValueError(
                f"{shown(name)} is not the name of a value: give a text of 1 to {_NAME_LIMIT} characters"
            )
    for name, value in data.items():
        if problem := _value_problem(value, 0):
            raise ValueError(f"{shown(name)} {problem}")
    whole = to_json(dict(data))
    if len(whole) > TEMPLATE_DATA.most and len(whole.decode()) > TEMPLATE_DATA.most:
        raise ValueError(
            f"has {len(whole)} bytes as JSON: SES takes {TEMPLATE_DATA.most} characters, so put into the "
            "template what all entries share"
        )
    # A copy through and through: who makes entries may use the same mapping again.
    return from_json(whole)


def _value_problem(value: Any, depth: int) -> str:
    """Return what is wrong with a value, which is never shown: it may be a secret of the recipient's."""
    if isinstance(value, str):
        return "holds a NUL character or a lone surrogate: remove it" if _UNFIT.search(value) else ""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if abs(value) < 2**63 else "is a number beyond 64 bits: give it as text"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is no finite number, and so no JSON: give a number or a text"
    if depth < _DEEPEST and isinstance(value, list | tuple | Mapping):
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value
        if isinstance(value, Mapping) and not all(isinstance(name, str) for name in value):
            return "has a name inside that is no text: give texts"
        return next(filter(None, (_value_problem(one, depth + 1) for one in inner)), "")
    return f"is {shown(value)}, which JSON can't say: give text, numbers, true or false"


class _Checked(Frozen):
    """The model of an Entry, which says what is wrong with one."""

    model_config = ConfigDict(title="Entry")

    to: Address
    data: Annotated[Any, BeforeValidator(_data)] = Field(default_factory=dict)
    headers: Headers = EMPTY
    tags: Tags = EMPTY
    key: Annotated[str, Strict(), AfterValidator(checked_key)] | None = None


class _Fields(NamedTuple):
    to: str
    data: Mapping[str, Any]
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    key: str | None


class Entry(_Fields):
    """One recipient of a campaign, with data of their own; immutable.

    Raises pydantic.ValidationError, whose problems `rq_ses.explain` puts into words.

    Attributes:
        to (str): one address.
        data (Mapping[str, Any]): a value for each placeholder: text, numbers, true or false; for templates
            with more than placeholders also lists and mappings. 262,144 characters as JSON at most.
        headers (Mapping[str, str]): as a Message's, beside the campaign's.
        tags (Mapping[str, str]): as a Message's, beside the campaign's.
        key (str | None): what tells it from the campaign's other entries; by default its address, without the
            display name and in small letters. An entry with a key that is known is not sent again.
    """

    __slots__ = ()

    def __new__(
        cls,
        to: str,
        data: Data = EMPTY,
        headers: Mapping[str, str] = EMPTY,
        tags: Mapping[str, str] = EMPTY,
        key: str | None = None,
    ) -> Self:
        if key is None and headers is EMPTY and tags is EMPTY and _is_plain(to, data):
            return tuple.__new__(cls, (to, dict(data), EMPTY, EMPTY, None))
        given = {"to": to, "data": data, "headers": headers, "tags": tags, "key": key}
        return cls.read(given)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Return the entry of these fields, as a line of a file has them. Raises pydantic.ValidationError."""
        entry = _Checked.model_validate(fields)
        return tuple.__new__(cls, (entry.to, entry.data, entry.headers, entry.tags, entry.key))

    @property
    def identity(self) -> str:
        """Return its key, by default its address without display name, in small letters."""
        return self.key or address.bare(self.to).lower()

    def __repr__(self) -> str:
        return f"Entry({self.to!r})"


def _is_plain(to: Any, data: Any) -> bool:
    """Tell whether an address and data are surely what the model takes, unchanged."""
    if type(to) is not str or not address.is_plain(to):
        return False
    if type(data) is not dict:
        return data is EMPTY
    if not (_names.issuperset(data) or _are_names(data)):
        return False
    try:
        text = "".join(data.values())
    except TypeError:  # not all are texts
        return False
    if "\0" in text or not (text.isascii() or is_unicode(text)):
        return False
    # JSON makes six characters of one at most.
    return 6 * len(text) + _NAME_ROOM * len(data) <= TEMPLATE_DATA.most


_names: set[str] = set()
"""Names that were judged: the entries of a campaign have the same."""


def _are_names(data: dict[Any, Any]) -> bool:
    for name in data:
        if type(name) is not str or not 0 < len(name) <= _NAME_LIMIT or _UNFIT.search(name):
            return False
    if len(_names) < _NAMES_KEPT:
        _names.update(data)
    return True
