"""Files that people edit are read whatever their editor made of them."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

import pytest

from rq_ses.text.textfile import Line, NotText, decoded, read_lines, read_text

ENDS = ("\n", "\r\n", "\r")


def lines(raw: bytes, limit: int = 100) -> list[Line]:
    return list(read_lines(io.BytesIO(raw), limit=limit))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("last", [True, False])
def test_any_line_ends_and_a_byte_order_mark_are_read(
    end: str, mark: bytes, last: bool, tmp_path: Path
) -> None:
    raw = mark + end.join(("Grüße", "", " b ")).encode() + (end.encode() if last else b"")
    (tmp_path / "a").write_bytes(raw)
    assert read_text(tmp_path / "a") == "Grüße\n\n b " + "\n" * last
    found = lines(raw)
    assert [(line.number, line.content) for line in found] == [(1, "Grüße".encode()), (3, b"b")]
    assert sum(line.size for line in found) == len(raw)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-32", "UTF-32"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16")],
)
def test_another_encoding_is_named_before_the_first_line(encoding: str, name: str) -> None:
    raw = '{"a": 1}\n'.encode(encoding)
    for read in (decoded, lines):
        with pytest.raises(NotText, match=name):
            read(raw)


def test_a_byte_that_is_not_utf_8_is_named() -> None:
    with pytest.raises(NotText, match="byte 3 is not UTF-8: save it as UTF-8"):
        decoded(b"Gr\xfc\xdfe")


def test_a_line_beyond_the_limit_has_its_number_alone() -> None:
    found = lines(b"a\n" + b"x" * 250 + b"\nb\r\nc\r" + b"y" * 100)
    assert found[:3] == [Line(1, b"a", 2), Line(2, None, 251), Line(3, b"b", 3)]
    assert found[3].number == 4
    exactly = lines(b"x" * 100 + b"\nb\n")
    assert exactly[1].content == b"b"


def test_no_text_at_all_is_no_line() -> None:
    assert lines(b"") == lines(b"\r\n\n  \r") == lines(codecs.BOM_UTF8) == []
