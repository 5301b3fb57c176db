"""One attempt to send over a real socket, and what is expected of its outcome."""

from __future__ import annotations

import time

from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.outcome import Outcome, Transient

SECRET = "secret/of+the/tests/0123456789abcdefghij"
CREDENTIALS = Credentials("AKIDOFTHETESTS", SECRET)
BODY = b'{"Content":{}}'
TIMEOUT = 0.4
SLACK = 1.0
"""Seconds a loaded machine may be late; a missed deadline would be later by far, or never come."""


def failed_in_time(client: SesClient, timeout: float = TIMEOUT, body: bytes = BODY) -> Outcome:
    started = time.monotonic()
    outcome = client.send_body(body)
    took = time.monotonic() - started
    assert timeout * 0.9 <= took < timeout + SLACK
    return outcome


def assert_transient(outcome: Outcome, code: str, *, ambiguous: bool) -> None:
    assert type(outcome) is Transient
    assert (outcome.code, outcome.ambiguous, outcome.status) == (code, ambiguous, None)
