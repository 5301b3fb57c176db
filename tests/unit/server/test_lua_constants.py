"""A script's text: what it shares with Python stands there as a value, and comments are left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import rq_ses
import rq_ses_worker
from rq_ses import contract
from rq_ses.server.script import script_text

FILES = [path for package in (rq_ses, rq_ses_worker) for path in Path(package.__path__[0]).rglob("*.lua")]


def test_a_name_becomes_its_value() -> None:
    text = script_text(["redis.call('HGET', KEY_FIELD)", "return KEY_MEMORY + MY_KEY_MEMORY"])
    assert text == f"redis.call('HGET', \"rq_ses_key\")\nreturn {contract.KEY_MEMORY} + MY_KEY_MEMORY"


def test_a_text_with_quotes_stays_one() -> None:
    text = script_text(["return RECEIPT_DATA"])
    assert json.loads(json.loads(text.removeprefix("return "))) == [contract.JOB_FUNCTION, None, [], {}]


def test_comments_become_empty_lines() -> None:
    text = script_text(["-- KEYS: none", "local a = 1\n  -- by KEY_FIELD\nreturn a -- as it is, '--'"])
    assert text == "\nlocal a = 1\n\nreturn a -- as it is, '--'"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_script_says_a_field_of_ours_by_itself(path: Path) -> None:
    fields = {value for value in contract.LUA_CONSTANTS.values() if isinstance(value, str)}
    assert not fields & set(re.findall(r"['\"](rq_ses_[a-z_]+)['\"]", path.read_text()))
