"""Secrets that are known, taken out of what a stranger wrote, in whatever way they are written there."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

MASK: Final = "***"

_SHORTEST_SECRET: Final = 8
"""A stand-in's secret of a few letters is no secret, and would star out every word that holds it."""

_SHORTEST_PART: Final = 16
"""Characters of a secret that are taken for a part of it, wherever they stand."""

_GRAM: Final = 8
_ROUNDS: Final = 4
"""Times that a text is decoded: an echo may be escaped by each hop it passes."""

_IGNORED: Final = re.compile(
    r"[\s+\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff-]+"
)
"""Left out on both sides of a comparison: lines are wrapped; a + is a blank in forms, a - in base64's other
alphabet; what can't be seen, such as the zeros of UTF-16, separates nothing."""
_FOLDED: Final = str.maketrans(
    {chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)} | {"_": "/"}
)
_ESCAPES: Final = re.compile(
    r"%(?P<percent>[0-9A-Fa-f]{2})"
    r"|\\u(?P<unicode>[0-9A-Fa-f]{4})|\\x(?P<byte>[0-9A-Fa-f]{2})|\\(?P<itself>[^\w\s]|\Z)"
    r"|&#[xX](?P<hexadecimal>[0-9A-Fa-f]{1,6});?|&#(?P<decimal>[0-9]{1,7});?|&(?P<name>[A-Za-z]{2,8});"
)
_ESCAPED: Final = re.compile(r"[%\\&=]")
_QUOTED_PRINTABLE: Final = re.compile(r"=(?:(?P<percent>[0-9A-Fa-f]{2})|(?P<soft>\r?\n))")
_CODES: Final = ("percent", "unicode", "byte", "hexadecimal")


class Secrets:
    """Known secrets, and what takes them out of a text: whole or in part, in every way they may be written.

    A text is looked at as it stands and decoded (percent, JSON, HTML, quoted-printable, each several times),
    in either case of letters and wrapped anyhow, for the secrets themselves, their base64 and their hex. What
    agrees with sixteen characters of one is taken for a part of it, as a text that was cut leaves it.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._whole = tuple(sorted({v for v in values if len(v) >= _SHORTEST_SECRET}, key=len, reverse=True))
        shapes = {_plain(shape) for value in self._whole for shape in _shapes(value)}
        self._shapes = tuple(shape for shape in shapes if len(shape) >= _GRAM)
        self._grams: dict[str, list[tuple[str, int]]] = {}
        for shape in self._shapes:
            for at in range(len(shape) - _GRAM + 1):
                self._grams.setdefault(shape[at : at + _GRAM], []).append((shape, at))
        # Whatever is long enough to be a part holds a gram that begins at a multiple of this.
        self._stride = min((_enough(shape) for shape in self._shapes), default=_GRAM) - _GRAM + 1

    def masked(self, text: str) -> str:
        """Return `text` with *** in place of each secret and each part of one."""
        for secret in self._whole:
            text = text.replace(secret, MASK)
        if not _ESCAPED.search(text) and not self._looks_familiar(_plain(text)):
            return text
        spans = [span for reading in _readings(text) for span in self._found(reading)]
        if not spans:
            return text
        return _with_masks(text, spans)

    def _looks_familiar(self, text: str) -> bool:
        places = range(0, len(text) - _GRAM + 1, self._stride)
        return not self._grams.keys().isdisjoint([text[at : at + _GRAM] for at in places])

    def _found(self, reading: _Reading) -> Iterator[tuple[int, int]]:
        text, done = reading.text, 0
        for at in range(0, len(text) - _GRAM + 1, self._stride):
            if at + _GRAM <= done:
                continue
            for shape, place in self._grams.get(text[at : at + _GRAM], ()):
                start, end = _agreed(text, at, shape, place)
                if end - start >= _enough(shape):
                    yield reading.starts[start], reading.ends[end - 1]
                    done = max(done, end)


def _enough(shape: str) -> int:
    """Return how many characters of a secret are taken for a part of it; a short one must be there whole."""
    return min(_SHORTEST_PART, len(shape))


def _agreed(text: str, at: int, shape: str, place: int) -> tuple[int, int]:
    """Return where the part of a text that is the secret's begins and ends, around a gram they share."""
    back = 0
    while back < min(at, place) and text[at - back - 1] == shape[place - back - 1]:
        back += 1
    most = min(len(text) - at, len(shape) - place)
    length = next((n for n in range(_GRAM, most) if text[at + n] != shape[place + n]), most)
    return at - back, at + length


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text in one of the ways to read it, and what of the original each character stands for."""

    text: str
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(text, list(range(len(text))), list(range(1, len(text) + 1)))

    def decoded(self, escapes: re.Pattern[str]) -> _Reading | None:
        """Return the reading with its escapes resolved, None if it has none."""
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for found in escapes.finditer(self.text):
            first, after = found.span()
            char = _meant(found)
            if char is None:
                continue
            pieces += (self.text[at:first], char)
            starts += self.starts[at:first]
            ends += self.ends[at:first]
            if char:
                starts.append(self.starts[first])
                ends.append(self.ends[after - 1])
            at = after
        if not at:
            return None
        pieces.append(self.text[at:])
        return _Reading("".join(pieces), starts + self.starts[at:], ends + self.ends[at:])

    def plain(self) -> _Reading:
        """Return the reading in the form in which secrets are compared."""
        kept = self
        if _IGNORED.search(self.text):
            places = [n for n, char in enumerate(self.text) if not _IGNORED.match(char)]
            kept = _Reading(
                "".join([self.text[n] for n in places]),
                [self.starts[n] for n in places],
                [self.ends[n] for n in places],
            )
        return _Reading(kept.text.translate(_FOLDED), kept.starts, kept.ends)


def _readings(text: str) -> Iterator[_Reading]:
    first = _Reading.of(text)
    for found in (first, first.decoded(_QUOTED_PRINTABLE)):
        reading, rounds = found, _ROUNDS
        while reading is not None:
            yield reading.plain()
            reading = reading.decoded(_ESCAPES) if rounds else None
            rounds -= 1


def _meant(found: re.Match[str]) -> str | None:
    """Return the character that an escape stands for, None if for none."""
    groups = found.groupdict()
    for name in _CODES:
        if digits := groups.get(name):
            code = int(digits, 16)
            return chr(code) if code <= 0x10FFFF else None
    if digits := groups.get("decimal"):
        return chr(int(digits)) if int(digits) <= 0x10FFFF else None
    if entity := groups.get("name"):
        char = html.unescape(f"&{entity};")
        return char if len(char) == 1 else None
    return groups.get("itself") or ""


def _plain(text: str) -> str:
    return _IGNORED.sub("", text).translate(_FOLDED)


def _shapes(secret: str) -> Iterator[str]:
    """The forms in which a secret may stand in a text, apart from escapes."""
    data = secret.encode()
    yield secret
    yield data.decode("latin-1")
    yield data.hex()
    # In the base64 of something that holds it, a secret begins at one of three places of a group; what shares
    # a character with its neighbours is left out.
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        size = before + len(data)
        yield base64.b64encode(b"\0" * before + data).decode()[shared : size * 8 // 6]


def _with_masks(text: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if start > at or not pieces:
            pieces += (text[at:start], MASK)
        at = max(at, end)
    pieces.append(text[at:])
    return "".join(pieces)
