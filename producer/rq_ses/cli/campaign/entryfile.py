"""The entries of a campaign as a file of any length: lines of JSON, or CSV with a header row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from rq_ses.campaign.entry import Entry
from rq_ses.text import textfile
from rq_ses.text.invalid import explain, shown
from rq_ses.text.textfile import NotText

Format = Literal["jsonl", "csv"]
FORMATS: Final = ("jsonl", "csv")

LINE_LIMIT: Final = 2 * 1024 * 1024
"""Bytes of a line: the most data of an entry, even in JSON's six-byte escapes, and room around it."""

_FIELDS: Final = frozenset(Entry._fields)
_SEPARATORS: Final = (",", ";", "\t")


class Row(NamedTuple):
    """One entry of a file: the number of its (first) line, and what it says or what is wrong with it.

    `size` is how many bytes it brings the reader on.
    """

    number: int
    size: int
    entry: Entry | None
    problem: str = ""


def read_rows(source: BinaryIO, kind: Format) -> Iterator[Row]:
    """Read entries one by one; bad ones come with their problem.

    Raises NotText if the file is in another encoding than UTF-8, or (CSV) has no header row to go by.
    """
    return _json_rows(source) if kind == "jsonl" else _csv_rows(source)


def format_of(name: str, source: BinaryIO) -> Format:
    """Return the format that a file's name tells, else its first byte."""
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return "jsonl"
    if name.endswith((".csv", ".tsv")):
        return "csv"
    peek = getattr(source, "peek", None)
    return "jsonl" if peek and peek(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv"


def _json_rows(source: BinaryIO) -> Iterator[Row]:
    for number, raw, size in textfile.read_lines(source, limit=LINE_LIMIT):
        if raw is None:
            yield Row(number, size, None, f"longer than {LINE_LIMIT} bytes: SES takes no such data")
            continue
        try:
            fields = from_json(raw)
        except ValueError as exc:
            yield Row(number, size, None, f"not JSON: {str(exc).partition(' at line ')[0]}")
            continue
        if not isinstance(fields, dict):
            yield Row(number, size, None, "not a JSON object: write one entry a line")
            continue
        yield _row(number, size, fields)


def _row(number: int, size: int, fields: dict[str, Any]) -> Row:
    try:
        known = "to" in fields and fields.keys() <= _FIELDS
        return Row(number, size, Entry(**fields) if known else Entry.read(fields))
    except ValidationError as exc:
        return Row(number, size, None, "; ".join(explain(exc)))


class _Counted(io.RawIOBase):
    """A source that tells how much of it was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._source.read(len(buffer))
        buffer[: len(piece)] = piece
        self.size += len(piece)
        return len(piece)


def _csv_rows(source: BinaryIO) -> Iterator[Row]:
    counted = _Counted(source)
    text = io.TextIOWrapper(io.BufferedReader(counted), "utf-8-sig", newline="")
    try:
        yield from _told(text, counted)
    except UnicodeDecodeError as exc:
        raise NotText(
            f"it holds bytes that are not UTF-8 ({exc.object[exc.start : exc.start + 1]!r}): save it so"
        ) from exc
    finally:
        text.detach()


class _Lines:
    """Lines of a text, their number, and no more than LINE_LIMIT characters of one: of a longer one none."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not (line := self._text.readline(LINE_LIMIT)):
            raise StopIteration
        self.number += 1
        piece = line
        while len(piece) == LINE_LIMIT and not piece.endswith(("\n", "\r")):
            piece = self._text.readline(LINE_LIMIT)
        if piece is not line:
            raise ValueError(f"longer than {LINE_LIMIT} characters: SES takes no such data")
        return line


def _told(text: io.TextIOWrapper, counted: _Counted) -> Iterator[Row]:
    csv.field_size_limit(LINE_LIMIT)  # its own would be half of what SES takes of an entry
    lines = _Lines(text)
    columns, separator = _header(lines)
    rows = csv.reader(lines, delimiter=separator, strict=True)
    line, read = 2, 0
    while True:
        size, read = counted.size - read, counted.size
        row: Row | None = None
        try:
            cells = next(rows, None)
            if cells is None:
                return
            if any(cells):
                row = _row(line, size, columns.fields(cells))
        except UnicodeDecodeError:
            raise
        except csv.Error as exc:
            row = Row(line, size, None, f"not CSV: {exc}: is a quote open?")
        except ValueError as exc:
            row = Row(line, size, None, str(exc))
        if row is not None:
            yield row
        line = lines.number + 1


def _header(lines: _Lines) -> tuple[_Columns, str]:
    """Return the columns that the first line names, and what separates them. Raises NotText."""
    try:
        first = next(lines, "")
    except UnicodeDecodeError:
        raise
    except ValueError as exc:
        raise NotText(f"its first line is {exc}") from exc
    if "\0" in first:
        raise NotText("it is UTF-16 or no text (byte 0 in its first line): save it as UTF-8")
    separator = max(_SEPARATORS, key=first.count)
    try:
        [names] = csv.reader([first or "\n"], delimiter=separator, strict=True)
    except csv.Error as exc:
        raise NotText(f"its first line is no header row of CSV ({exc}): is a quote open?") from exc
    return _Columns(names), separator


class _Columns:
    """The columns of a CSV file: `to`, `key`, `header:NAME`, `tag:NAME`; all others are data.

    Raises NotText if it can't be gone by.
    """

    def __init__(self, names: list[str]) -> None:
        self._names = [name.strip() for name in names]
        if "to" not in self._names:
            raise NotText(
                f"its first line names no column `to` ({shown(','.join(self._names))}): write a header row"
            )
        for place, name in enumerate(self._names):
            if name in self._names[:place] or not name:
                raise NotText(
                    f"its first line names the column {shown(name)} twice, or not at all: name each once"
                )
        self._simple = not any(name == "key" or name.startswith(("header:", "tag:")) for name in self._names)

    def fields(self, cells: list[str]) -> dict[str, Any]:
        """Return the fields of an entry. Raises ValueError if it has more cells, or fewer, than columns."""
        if len(cells) != len(self._names):
            raise ValueError(f"has {len(cells)} cells, and the header row {len(self._names)}")
        named = dict(zip(self._names, cells, strict=True))
        if self._simple:
            return {"to": named.pop("to").strip(), "data": named}
        return self._sorted(named)

    @staticmethod
    def _sorted(named: Mapping[str, str]) -> dict[str, Any]:
        fields: dict[str, Any] = {"to": named["to"].strip(), "data": {}, "headers": {}, "tags": {}}
        for name, cell in named.items():
            kind, _, rest = name.partition(":")
            if kind == "header" and rest:
                if cell:
                    fields["headers"][rest.strip()] = cell
            elif kind == "tag" and rest:
                if cell:
                    fields["tags"][rest.strip()] = cell
            elif name == "key":
                fields["key"] = cell or None
            elif name != "to":
                fields["data"][name] = cell
        return fields
