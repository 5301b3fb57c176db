"""Which answers are taken apart here, and which are left to http.client and urllib3."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses_worker.ses.warmup import CannedSocket
from rq_ses_worker.ses.wire.connection import DeadlineHTTPConnection, WholeAnswer

BODY = b'{"MessageId":"m-1"}'


def answered(*lines: str) -> tuple[DeadlineHTTPConnection, Any]:
    head = "".join(
        [f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *lines, f"Content-Length: {len(BODY)}", "")]
    )
    connection: Any = DeadlineHTTPConnection("ses.invalid")
    connection.sock = CannedSocket(head.encode() + BODY)
    return connection, connection.answer()


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Date: Thu, 01 Jan 2026 00:00:00 GMT", "Content-Type: application/json", "x-amzn-RequestId: 1"],
        ["Connection: keep-alive"],
        ["connection:Keep-Alive "],
    ],
)
def test_an_answer_as_ses_gives_it_is_whole_at_once_and_its_connection_stays(lines: list[str]) -> None:
    connection, answer = answered(*lines)
    assert isinstance(answer, WholeAnswer)
    assert (answer.status_code, answer.body) == (200, BODY)
    assert connection.sock is not None


@pytest.mark.parametrize(
    ("lines", "stays"),
    [
        (["Connection: close"], False),
        (["Connection: keep-alive, close"], False),
        (["Connection: upgrade"], True),
        (["Connection: keep-alive", "Connection: close"], True),
        (["Content-Encoding: identity"], True),
    ],
)
def test_what_says_more_is_left_to_the_library(lines: list[str], stays: bool) -> None:
    connection, answer = answered(*lines)
    assert not isinstance(answer, WholeAnswer)
    assert (answer.status, answer.read()) == (200, BODY)
    assert (connection.sock is not None) == stays
