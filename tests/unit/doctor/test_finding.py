"""What a finding is, how grave, and that the documentation lists each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rq_ses_worker import doctor
from rq_ses_worker.doctor.command import EXITS
from rq_ses_worker.doctor.finding import SEVERITIES, Finding, worst


def test_a_finding_that_is_not_ok_has_a_remedy() -> None:
    with pytest.raises(ValueError, match="needs a remedy"):
        Finding("redis.aof", "warning", "off")


def test_an_id_is_a_word_for_scripts() -> None:
    with pytest.raises(ValueError, match="no id"):
        Finding("Redis AOF", "ok", "on")


def test_what_a_finding_says_is_inert() -> None:
    finding = Finding("a.b", "info", "<script>\x1b[31m\n", "x\u202e" * 1000)
    assert "<" not in finding.text
    assert not {"\x1b", "\n", "\u202e"} & set(finding.text + finding.remedy)
    assert len(finding.remedy) <= 600


def test_the_gravest_finding_gives_the_exit_code() -> None:
    findings = [Finding("a.b", severity, "x", "y") for severity in SEVERITIES]
    assert [EXITS[worst(findings[:count])] for count in range(5)] == [0, 0, 0, 1, 5]


def test_every_id_stands_in_the_documentation_and_no_other() -> None:
    groups = "redis|workers|hooks|gate|endpoint|credentials|ses|clock|account|identity|events|iam|dns"
    pattern = rf"\b((?:{groups})\.[a-z-]+)"
    sources = [path.read_text() for path in Path(doctor.__path__[0]).rglob("*.py")]
    given = {found for source in sources for found in re.findall(f'"{pattern}"', source)}
    given |= {f"redis.{topic}" for topic in ("version", "mode", "eviction", "aof")}
    given |= {f"{group}.{end}" for group in ("redis", "endpoint", "ses") for end in ("late", "failed")}
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    assert set(re.findall(f"`{pattern}`", text)) == given
