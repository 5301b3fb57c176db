from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rq_ses.text.jsontext import read_json

PIECES = st.text('0123456789.eE+-[]{},:"\\ \nu\ufeff\ud800\x00aNnullfalstrIiy', max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def told(read: Callable[[Any], Any], text: str | bytes) -> str:
    try:
        return repr(read(text))
    except (ValueError, TypeError, RecursionError) as exc:
        return type(exc).__name__


@given(PIECES | st.binary(max_size=8))
@example('"\\ud800"')
@example('{"a": 1, "a": 2}')
@example("1e999")
@example("1" * 5000)
@example("[" * 300 + "]" * 300)
@example("[" * 100_000)
@example("[1]".encode("utf-16"))
@example(b"\xef\xbb\xbf[1]")
def test_what_is_read_or_refused_is_what_json_reads_or_refuses(text: str | bytes) -> None:
    assert told(read_json, text) == told(json.loads, text)


@given(VALUES)
def test_every_value_is_read_as_it_was_written(value: Any) -> None:
    text = json.dumps(value)
    assert repr(read_json(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "{", "[1] 2", "nul"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        read_json(text)
