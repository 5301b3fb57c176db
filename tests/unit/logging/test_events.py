"""The catalogue of log events, the code that logs them, and their documentation say the same."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rq_ses_worker
from rq_ses_worker.logging import events
from rq_ses_worker.logging.events import CATALOGUE, Event

ROOT = Path(__file__).parents[3]
PACKAGE = Path(rq_ses_worker.__file__).parent
NO_WORKER = ("simulator", "doctor", "demo")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def calls() -> Iterator[tuple[str, ast.Call, str, str]]:
    """Every call of a method of a name or attribute in the worker: where, the call, receiver, method."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in NO_WORKER or path.name == "events.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield f"{path.name}:{node.lineno}", node, ast.unparse(node.func.value), node.func.attr


LOGGED = [
    (where, call, receiver.removeprefix("events."))
    for where, call, receiver, method in calls()
    if receiver.startswith("events.") and method == "log"
]


def test_every_event_has_a_name_of_its_own_in_two_words() -> None:
    names = [event.name for event in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in names)
    assert len(CATALOGUE) > 30


def test_every_event_is_logged_somewhere_and_nothing_else_is() -> None:
    known = {name for name, value in vars(events).items() if isinstance(value, Event)}
    assert {name for _, _, name in LOGGED} == known
    for where, _, receiver, method in calls():
        is_a_logger = receiver == "logging" or receiver.rpartition(".")[2] in ("log", "_log", "logger")
        assert not (is_a_logger and method in LEVELS), f"{where} logs what stands in no catalogue"


def test_a_call_gives_the_fields_of_its_event_and_no_others() -> None:
    for where, call, name in LOGGED:
        event: Event = getattr(events, name)
        given = {keyword.arg for keyword in call.keywords if keyword.arg} - {"level", "trace"}
        assert given <= set(event.fields), where
        assert event.said <= given, f"{where}: the sentence of {event.name} needs all it names"
        if not any(keyword.arg is None for keyword in call.keywords):
            assert given == set(event.fields), where


def test_the_documentation_lists_every_event_with_its_level_and_fields() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| (\w+) \| (.*?) \| (.+?) \|$",
        (ROOT / "docs/events.md").read_text(),
        re.MULTILINE,
    )
    listed = [(name, level, tuple(re.findall(r"`(\w+)`", fields))) for name, level, fields, _ in rows]
    assert listed == [
        (event.name, logging.getLevelName(event.level).lower(), event.fields) for event in CATALOGUE
    ]


def test_an_event_is_a_record_of_the_standard_librarys_logging(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("rq_ses_worker.test")
    with caplog.at_level(logging.INFO):
        events.MAIL_RETRIED.log(log, job_id="j", delay=5.0, error="100 % wrong", queue="mail", attempt=2)
        events.WORKER_RESUMED.log(log)
        events.CREDENTIALS_MISSED.log(log, level=logging.DEBUG, error="e", left="")
    assert caplog.messages == ["job j: again in 5 s: 100 % wrong", "resumed"]
    assert caplog.records[0].__dict__["rq_ses_event"] is events.MAIL_RETRIED
