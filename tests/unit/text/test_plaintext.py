from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rq_ses.text.plaintext import one_line


def test_plain_text_stays_as_it_is() -> None:
    assert one_line("Terms & conditions (100 %) — 'ok'", 80) == "Terms & conditions (100 %) — 'ok'"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<script>alert(1)</script>", "‹script›alert(1)‹/script›"),
        ("a\r\nBcc: b@example.com", "a Bcc: b@example.com"),
        ("&lt;b&gt; &#60; &x", "＆lt;b＆gt; ＆#60; &x"),
        ("\x1b[31mred\x07", "[31mred"),
        ("abc\u202edef", "abc def"),
        ("  much \t space ", "much space"),
    ],
)
def test_markup_and_controls_do_not_survive(text: str, line: str) -> None:
    assert one_line(text, 80) == line


def test_a_long_text_is_cut_and_says_so() -> None:
    assert one_line("x" * 100, 10) == "x" * 9 + "…"


@given(st.text(max_size=300), st.integers(1, 50))
def test_the_result_is_always_one_bounded_inert_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") or c in "<>" for c in line)
    line.encode()
