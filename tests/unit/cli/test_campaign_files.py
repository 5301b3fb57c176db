"""Campaigns and their entries as files: what they may say, and how a line that can't be read is told."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click
import pytest

from rq_ses.campaign import Campaign, Entry, Template
from rq_ses.cli.campaign.entryfile import LINE_LIMIT, Format, Row, format_of, read_rows
from rq_ses.cli.campaign.preview import preview_of
from rq_ses.cli.campaign.templatefile import read_campaign
from rq_ses.text.textfile import NotText

TOML = """\
campaign = "spring"
sender = "Shop <shop@example.com>"
subject = "For {{name}}"
html = "<p>{{name}}"
expires = 2030-01-01T00:00:00+01:00
[tags]
kind = "news"
"""
JSON = (
    '{"campaign": "spring", "sender": "Shop <shop@example.com>", "subject": "For {{name}}",'
    ' "html": "<p>{{name}}", "expires": "2030-01-01T00:00:00+01:00", "tags": {"kind": "news"}}'
)


def rows(text: str | bytes, kind: Format = "csv") -> list[Row]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_rows(io.BytesIO(raw), kind))


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_campaign_says_the_same_in_toml_and_json(tmp_path: Path) -> None:
    toml, plain = (
        read_campaign(written(tmp_path / "a.toml", TOML)),
        read_campaign(written(tmp_path / "b", JSON)),
    )
    assert toml == plain
    assert (toml.name, toml.template.subject, toml.tags) == ("spring", "For {{name}}", {"kind": "news"})
    assert read_campaign(str(tmp_path / "b"), "summer").name == "summer"


def test_a_stored_template_is_named_in_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.toml", 'campaign = "spring"\nsender = "a@example.com"\nname = "welcome"\n')
    assert read_campaign(path).template.name == "welcome"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "is no TOML: "),
        ("{", "is no JSON: "),
        ("{}\n", "campaign: is missing: give it"),
        (TOML.replace("sender", "sendr"), "sendr: is not a field"),
        (TOML.replace('"spring"', '"a/b"'), "campaign: 'a/b' is not the name of a campaign"),
        (TOML.replace("For {{name}}", "{{#if x}}"), "subject: line 1: '{{#if x}}' is no placeholder"),
        (f'engine = "jinja2"\n{TOML.replace("<p>", "{% if %}")}', "html, line 1: the template"),
        (TOML + "[[attachments]]\nfilename = 1\n", "attachments"),
    ],
)  # fmt: skip
def test_a_campaign_that_cannot_be_used_is_explained_by_its_file(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(click.UsageError) as caught:
        read_campaign(written(tmp_path / "spring", text))
    assert words in caught.value.message
    assert str(tmp_path / "spring") in caught.value.message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="can't be read: No such file"):
        read_campaign(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    "text",
    ["to,name\r\na@b.example,Ann\r\n", "﻿name;to\nAnn; a@b.example \n\n;;\n", "to\tname\na@b.example\tAnn"],
)
def test_csv_is_read_with_whatever_separator_its_header_row_has(text: str) -> None:
    assert [row.entry for row in rows(text) if row.entry] == [Entry("a@b.example", {"name": "Ann"})]


def test_columns_may_be_headers_tags_and_the_key() -> None:
    [row] = rows("to,key,header:X-Ref,tag:kind,tag:no,name,k:v\na@b.example,7,r,vip,,A,z\n")
    assert row.entry == Entry("a@b.example", {"name": "A", "k:v": "z"}, {"X-Ref": "r"}, {"kind": "vip"}, "7")


def test_each_bad_row_of_csv_is_told_by_the_line_it_begins_at() -> None:
    text = 'to,name\na@b.example,"A\nnn"\nx,y\nc@b.example\n\nd@b.example,"D"x\ne@b.example,E\n'
    found = rows(f'{text}f@b.example,"open\n\n')
    assert [(row.number, row.problem.partition(":")[0]) for row in found] == [
        (2, ""),
        (4, "to"),
        (5, "has 1 cells, and the header row 2"),
        (7, "not CSV"),
        (8, ""),
        (9, "not CSV"),
    ]
    assert found[0].entry == Entry("a@b.example", {"name": "A\nnn"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("email,name\n", "names no column `to`"),
        ("", "names no column `to`"),
        ("to,name,name\n", "the column 'name' twice"),
        ("to,,\n", "twice, or not at all"),
        ('to,"na\nme"\na@b.example,A\n', "its first line is no header row of CSV"),
        ('to,"na"me\na@b.example,A\n', "its first line is no header row of CSV"),
        (f"to,{'x' * LINE_LIMIT}\n", "its first line is longer than"),
        (b"to,name\na@b.example,\xff\n", "not UTF-8"),
        ("to,name\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_csv_file_that_cannot_be_gone_by_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(NotText, match=words):
        rows(text)


def test_a_value_may_be_as_long_as_ses_takes_it_and_what_is_longer_ends_no_more_than_its_row() -> None:
    longest, endless = "x" * 260_000, "y" * (2 * LINE_LIMIT + 10)
    text = f'to,name\na@b.example,{longest}\nb@b.example,{endless}\nc@b.example,C\nd@b.example,"{endless}\n'
    found = rows(f"{text}e@b.example,E\n")
    assert [(row.number, row.entry.to if row.entry else row.problem[:11]) for row in found] == [
        (2, "a@b.example"),
        (3, "longer than"),
        (4, "c@b.example"),
        (5, "longer than"),
        (6, "e@b.example"),
    ]


def test_lines_of_json_are_entries_and_bad_ones_are_told() -> None:
    text = (
        '{"to": "a@b.example", "data": {"n": 1}, "headers": {"X-A": "b"}, "tags": {"c": "d"}, "key": "k"}\n\n'
        '{"to": "x"}\nno\n[]\n{"to": "a@b.example", "date": {}}\n{"data": {}}\n{"to": "z@b.example"}'
    )
    found = rows(text, "jsonl")
    assert found[0].entry == Entry("a@b.example", {"n": 1}, {"X-A": "b"}, {"c": "d"}, "k")
    assert [(row.number, row.problem[:22]) for row in found[1:]] == [
        (3, "to: 'x' is not an e-ma"),
        (4, "not JSON: expected ide"),
        (5, "not a JSON object: wri"),
        (6, "date: is not a field: "),
        (7, "to: is missing: give i"),
        (8, ""),
    ]


def test_the_sizes_of_all_rows_bring_the_reader_to_the_end() -> None:
    text = "to,name\n" + "".join(f"user{n}@b.example,{'x' * 50}\n" for n in range(3000))
    assert sum(row.size for row in rows(text)) <= len(text)
    lines = '{"to": "a@b.example"}\n' * 100
    assert sum(row.size for row in rows(lines, "jsonl")) == len(lines)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", b"{", "csv"), ("a.jsonl", b"to", "jsonl"), ("a.ndjson", b"", "jsonl"),
        ("-", b' \n{"to"', "jsonl"), ("-", b"to,name", "csv"), ("-", b"", "csv"),
    ],
)  # fmt: skip
def test_the_format_is_told_by_the_name_else_by_the_first_byte(name: str, content: bytes, kind: Any) -> None:
    assert format_of(name, io.BufferedReader(io.BytesIO(content))) == kind  # type: ignore[arg-type]


@pytest.mark.parametrize("template", [{}, {"engine": "jinja2"}])
def test_a_preview_has_a_header_once_that_an_entry_writes_in_other_letters(template: Any) -> None:
    campaign = Campaign(
        name="spring",
        sender="shop@example.com",
        template=Template(subject="-", text="-", **template),
        headers={"X-Kind": "all", "X-Other": "1"},
    )
    shown = preview_of(campaign, Entry("user@example.com", headers={"x-kind": "own"}))
    assert shown.headers == {"X-Other": "1", "x-kind": "own"}
