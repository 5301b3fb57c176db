"""The form of the log: one line an event, inert, addresses masked, for people and for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Lease, Settlement, failed_fields, sent_fields
from rq_ses_worker.lifecycle.retry import History
from rq_ses_worker.logging import events
from rq_ses_worker.logging.rendering import SENT_LOGGER, Addresses, Form, configure, log_handler
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, hinted, summary

LOG = logging.getLogger("rq_ses_worker.test_logs")

Written = Callable[..., list[str]]


@contextmanager
def everything_logged() -> Iterator[logging.Logger]:
    """The root logger, with nothing held back; whatever other tests have set, or have had answered."""
    root, sent = logging.getLogger(), logging.getLogger(SENT_LOGGER)
    levels = root.level, sent.level
    root.setLevel(logging.DEBUG)  # setLevel, since loggers keep what they answered until then
    sent.setLevel(logging.NOTSET)
    try:
        yield root
    finally:
        root.setLevel(levels[0])
        sent.setLevel(levels[1])


@pytest.fixture
def written() -> Iterator[Written]:
    """What a handler writes of the records that a function logs, as lines."""

    def write(act: Callable[[], Any], form: Form = "json", addresses: Addresses = "masked") -> list[str]:
        stream = io.StringIO()
        handler = log_handler(form, addresses, stream)
        with everything_logged() as root:
            root.addHandler(handler)
            try:
                act()
            finally:
                root.removeHandler(handler)
        return stream.getvalue().splitlines()

    return write


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def failing() -> None:
    try:
        int("of anna@example.com\r\n\x1b[2Jforged")
    except ValueError:
        events.MAIL_RAISED.log(LOG, trace=True, job_id="j", step="sending")


def test_an_event_is_an_object_with_its_name_its_sentence_and_its_fields(written: Written) -> None:
    lines = written(lambda: events.REDIS_AWAY.log(LOG, error="TimeoutError", meanwhile="nothing is claimed"))
    (told,) = objects(lines)
    moment = datetime.fromisoformat(told.pop("timestamp"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert told.pop("pid") > 1
    assert told == {
        "level": "error",
        "event": "redis.away",
        "message": "Redis is away (TimeoutError); nothing is claimed",
        "error": "TimeoutError",
        "meanwhile": "nothing is claimed",
        "logger": "rq_ses_worker.test_logs",
    }


def test_people_read_the_sentence_the_name_and_what_the_sentence_does_not_say(written: Written) -> None:
    (line,) = written(
        lambda: events.MAIL_RETRIED.log(LOG, job_id="j", delay=5.0, error="Slow", queue="mail", to="a b"),
        "console",
    )
    assert line.endswith("Z [info     ] job j: again in 5 s: Slow [mail.retried] queue=mail to='a b'")


def test_what_libraries_log_has_the_same_form(written: Written) -> None:
    def act() -> None:
        logging.getLogger("rq.worker").warning("Worker %s: *** \x1b[32mlistening\x1b[39;49;00m", "w\n{}")

    (told,) = objects(written(act))
    assert (told["event"], told["logger"], told["level"]) == ("library", "rq.worker", "warning")
    assert told["message"] == "Worker w {}: *** listening"
    (line,) = written(act, "console")
    assert line.endswith("Worker w {}: *** listening [library] logger=rq.worker")


@pytest.mark.parametrize("form", ["console", "json"])
def test_nothing_breaks_a_line_or_steers_a_terminal(written: Written, form: Form) -> None:
    hostile = "a\nb\r\x1b]0;t\x07\x1b[31mc\u202ed\u2028e\x85f\0"
    lines = written(lambda: events.MAIL_FAILED.log(LOG, job_id=hostile, error=hostile, hint=hostile), form)
    assert len(lines) == 1
    assert lines[0].isprintable()
    if form == "json":
        assert json.loads(lines[0])["hint"].isprintable()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_is_told_without_local_variables_and_inert(written: Written, form: Form) -> None:
    lines = written(failing, form)
    text = "\n".join(lines)
    assert "of a…@example.com" in (json.loads(text)["exception"] if form == "json" else text)
    assert "\x1b" not in text
    assert "rq_ses_event" not in text
    assert (len(lines) == 1) == (form == "json")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to anna.b+tag@example.com, refused", "to a…@example.com, refused"),
        ("<anna@example.com>", "<a…@example.com>"),
        ("‹anna@example.com›;ben@b.example.", "‹a…@example.com›;b…@b.example."),
        ('"john doe"@example.com', "j…@example.com"),
        ('to "a\\"b c"@example.com.', "to a…@example.com."),
        (r'{"to": "\"abc..def\"@x.example"}', r'{"to": "\a…@x.example"}'),
        ("'x'@[192.0.2.1]: x@[192.0.2.1]", "'x'@[192.0.2.1]: x…@[192.0.2.1]"),
        ("identity/anna@example.com", "i…@example.com"),
        ("jürgen@münchen.example", "j…@münchen.example"),
        ("redis://user:pw@host:1", "redis://user:p…@host:1"),
        ("a@b@c.example", "a…@b@c.example"),
        ("no address @ all, @handle", "no address @ all, @handle"),
    ],
)
def test_addresses_are_masked_wherever_they_stand(written: Written, text: str, masked: str) -> None:
    lines = written(lambda: events.REDIS_UNFIT.log(LOG, finding=text))
    assert objects(lines)[0]["finding"] == masked
    assert objects(lines)[0]["message"] == f"Redis: {masked}"


@pytest.mark.parametrize(("addresses", "shown"), [("full", "anna@example.com"), ("none", "(address)")])
def test_addresses_are_shown_or_hidden_as_told(written: Written, addresses: Addresses, shown: str) -> None:
    for form in ("console", "json"):
        (line,) = written(lambda: LOG.info("to %s", "anna@example.com"), form, addresses)
        assert f"to {shown}" in line


def test_masking_a_long_text_takes_no_long_time(written: Written) -> None:
    lines = written(lambda: LOG.info("%s", "a." * 100_000 + "@" + "@ " * 1000 + '"' * 10_000 + "@"))
    assert len(lines) == 1


def ending(action: Any, outcome: Outcome, fields: dict[str, Any], *to: str) -> Settlement:
    history = History().after(outcome, 0.0)
    meta = history.to_meta(outcome)
    return Settlement(
        Lease(1, "the-job", "x1"), action, datetime.now(UTC), meta, fields, outcome=outcome, to=to
    )


class DoneLifecycle:
    def count(self, **_: bool) -> None:
        pass

    def settle(self, settlements: list[Settlement], **_: float) -> list[str]:
        return ["done"] * len(settlements)


def settle(*settlements: Settlement) -> None:
    settler = Settler(DoneLifecycle(), Shared(Leases(30.0)), queues=["mail-high", "mail"])  # type: ignore[arg-type]
    for settlement in settlements:
        settler.put(settlement)
    settler.start()
    assert settler.stop(5.0)


def test_an_outcome_is_told_with_all_that_is_known_of_it(written: Written) -> None:
    refused = Terminal(400, "MessageRejected", "Email address is not verified. ben@example.com", "r-1")
    limited = RateLimited(429, "TooManyRequestsException", "Too fast", "r-2")
    sent, failed, retried = objects(
        written(
            lambda: settle(
                ending("sent", Sent(200, message_id="m-1"), sent_fields({}), "Anna B <anna@example.com>"),
                ending(
                    "failed", refused, failed_fields(hinted(summary(refused), refused)), "b@c.de", "c@d.de"
                ),
                ending("retry", limited, {"delay": 5.0}),
            )
        )
    )
    common = {"job_id": "the-job", "queue": "mail", "attempt": 1}
    assert (
        sent.items() >= {**common, "event": "mail.sent", "message_id": "m-1", "to": "a…@example.com"}.items()
    )
    assert sent["logger"] == SENT_LOGGER
    assert failed.items() >= {**common, "event": "mail.failed", "outcome": "terminal", "status": 400}.items()
    assert (failed["code"], failed["request_id"], failed["to"]) == ("MessageRejected", "r-1", "b…@c.de (+1)")
    assert failed["error"].startswith(
        "MessageRejected: Email address is not verified. b…@example.com (HTTP 400"
    )
    assert failed["hint"].startswith("In the sandbox")
    assert (
        retried.items()
        >= {**common, "event": "mail.retried", "delay": 5.0, "outcome": "rate_limited"}.items()
    )
    assert "to" not in retried


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without handlers, as a command's process finds it."""
    root, sent = logging.getLogger(), logging.getLogger(SENT_LOGGER)
    handlers, level, sent_level = root.handlers[:], root.level, sent.level
    root.handlers[:] = []
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        sent.setLevel(sent_level)


@pytest.mark.parametrize(
    ("level", "wanted", "enabled"),
    [("info", False, False), ("info", True, True), ("error", True, True), ("debug", False, True)],
)
def test_each_mail_that_was_sent_is_logged_only_if_wanted(level: str, wanted: bool, enabled: bool) -> None:
    with bare_root() as root:
        configure(level, sent=wanted)
        assert logging.getLogger(SENT_LOGGER).isEnabledFor(logging.INFO) is enabled
        assert root.level == getattr(logging, level.upper())
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        assert handler.stream is sys.stderr


def test_a_process_that_logs_already_keeps_its_handlers() -> None:
    own = logging.NullHandler()
    with bare_root() as root:
        root.addHandler(own)
        configure("info")
        assert root.handlers == [own]
