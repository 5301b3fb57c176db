"""Text that people edit, read in one way: UTF-8, with or without a byte order mark, with any line ends.

Editors on Windows begin a file with a byte order mark and end lines with CR LF; what they call Unicode may be
UTF-16, which is told apart from a broken file.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_OTHERS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Byte order marks of what isn't read; UTF-32's begins like UTF-16's."""


class NotText(ValueError):
    """Raised when bytes are no text in UTF-8; the text says why, and what to do."""


class Line(NamedTuple):
    """One line of a file: its number, its bytes without the line end, and how far it brings the reader.

    `content` is None if it is longer than was allowed.
    """

    number: int
    content: bytes | None
    size: int


def read_text(path: str | Path) -> str:
    """Return what a file says, its lines ended by "\\n". Raises OSError, or NotText."""
    return decoded(Path(path).read_bytes())


def decoded(raw: bytes) -> str:
    """Return bytes as text, its lines ended by "\\n". Raises NotText."""
    text = _utf8(_unmarked(raw))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(source: BinaryIO, *, limit: int) -> Iterator[Line]:
    """Yield the lines that aren't blank, undecoded; of a longer one than `limit` bytes only its number.

    Raises NotText, before the first line, if the file is in another encoding.
    """
    number = size = 0
    while raw := source.readline(limit):
        size += len(raw)
        whole = len(raw) < limit or raw.endswith(b"\n")
        rest = 0 if whole else _pass_over(source, limit)
        if number == 0:
            raw = _unmarked(raw)
        if rest:
            number += 1
            yield Line(number, None, size + rest)
            size = 0
            continue
        # No JSON and no id holds a CR, so it is a line end wherever it stands.
        parts = raw.removesuffix(b"\n").removesuffix(b"\r").split(b"\r") if b"\r" in raw else [raw]
        for part in parts:
            number += 1
            if content := part.strip():
                yield Line(number, content, size)
                size = 0


def _pass_over(source: BinaryIO, limit: int) -> int:
    """Read up to the end of the line, and return how many bytes that were."""
    passed = 0
    while piece := source.readline(limit):
        passed += len(piece)
        if piece.endswith(b"\n"):
            break
    return passed


def _unmarked(raw: bytes) -> bytes:
    """Return bytes without UTF-8's byte order mark. Raises NotText for another's."""
    for mark, name in _OTHERS:
        if raw.startswith(mark):
            raise NotText(f"it is {name}: save it as UTF-8")
    head = raw[:4]
    # Without a mark, the first character of such a file is ASCII all the same, and its other bytes are 0.
    if b"\0" in head and head.strip(b"\0"):
        raise NotText("it is UTF-16 or no text (byte 0 among the first): save it as UTF-8")
    return raw.removeprefix(codecs.BOM_UTF8)


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise NotText(f"byte {exc.start + 1} is not UTF-8: save it as UTF-8") from exc
