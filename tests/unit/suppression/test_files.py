"""Lists in files: what is read, what is refused, and that what is written is read again."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from rq_ses.suppression.entry import TEXT_BYTES, Suppressed, fitting
from rq_ses.suppression.files import FORMS, Form, read_rows, written

AT = datetime(2026, 11, 29, 10, tzinfo=UTC)
LIST = [
    Suppressed("ann@example.com", "bounce", AT, "NoEmail"),
    Suppressed("bob@xn--bcher-kva.example", "complaint", AT),
    Suppressed('"a,b"@example.com', "manual", AT, 'he said "no", twice'),
    Suppressed("=1+1@example.com", "ses", AT, "=HYPERLINK(1)"),
]


def read(text: str | bytes, form: Form = "csv") -> list[tuple[int, Suppressed | str]]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_rows(io.BytesIO(raw), form, "manual"))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_as_it_was(form: Form) -> None:
    lines = "\n".join(written(LIST, form))
    assert [entry for _, entry in read(lines, form)] == LIST


def test_no_cell_is_a_formula_to_a_spreadsheet() -> None:
    *_, last = written(LIST, "csv")
    assert last.startswith('"""=1+1""@example.com"')
    assert last.endswith(", =HYPERLINK(1)")


def test_a_file_of_mere_addresses_will_do() -> None:
    rows = read("Ann@Example.com\r\n\r\n  bob@bücher.example \n")
    assert [(number, entry[:2]) for number, entry in rows] == [
        (1, ("ann@example.com", "manual")),
        (3, ("bob@xn--bcher-kva.example", "manual")),
    ]


def test_columns_without_names_have_their_order() -> None:
    [(_, entry)] = read("ann@example.com,BOUNCE,2026-11-29T11:00:00+01:00,General")
    assert entry == ("ann@example.com", "bounce", AT, "General")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("csv", "Reason,EmailAddress,LastUpdateTime\nCOMPLAINT,ann@example.com,1795946400.5\n"),
        ("jsonl", '{"EmailAddress": "ann@example.com", "Reason": "COMPLAINT", "LastUpdateTime": 1795946400}'),
    ],
)
def test_what_ses_calls_them_is_read(form: Form, text: str) -> None:
    [(_, entry)] = read(text, form)
    assert entry[:2] == ("ann@example.com", "complaint")
    assert isinstance(entry, Suppressed)
    assert entry.at.replace(microsecond=0) == AT


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("csv", "ann", "'ann' is not an e-mail address"),
        ("csv", "address,reason\n,bounce", "address: is missing: give one"),
        ("csv", "ann@example.com,why", "reason: 'why' is none: give one of manual, ses, bounce, complaint"),
        ("csv", "ann@example.com,,yesterday", "'yesterday' is no date and time: write 2026"),
        ("csv", "ann@example.com,,-1", "at: -1.0 is no moment: write 2026"),
        ("csv", 'ann@example.com,"bounce', "unexpected end of data"),
        ("csv", b"\xff@example.com\n", "is not UTF-8"),
        ("csv", "x" * 70_000, "has more than 65536 bytes"),
        ("jsonl", "[1]", "is no object: write"),
        ("jsonl", "{", "is no JSON (Expecting property name"),
        ("jsonl", '{"address": 1}', "address: is missing"),
        ("jsonl", '{"address": "ann@example.com", "text": 1}', "text: 1 is no text"),
        ("jsonl", '{"address": "ann@example.com", "at": true}', "at: True is no moment"),
        ("jsonl", '{"address": "ann@example.com", "reason": 7}', "reason: 7 is none"),
        ("jsonl", "[" * 50_000, "is nested too deep"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(form: Form, text: str | bytes, said: str) -> None:
    number, problem = read(text, form)[-1]
    assert isinstance(problem, str)
    assert said in problem
    assert number >= 1


@pytest.mark.parametrize("text", ["", "asked by phone", "ä" * 48, "<b>\n\x1b[31m", "漢" * 20])
def test_a_text_is_one_line_and_fits(text: str) -> None:
    kept = fitting(text)
    assert len(kept.encode()) <= TEXT_BYTES
    assert kept.isprintable()
    assert not set("<>\n") & set(kept)
    assert fitting(kept) == kept
