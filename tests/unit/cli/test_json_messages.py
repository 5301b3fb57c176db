"""Messages as lines of JSON: what stands there is JSON's, base64 among it."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

from rq_ses import Submission
from rq_ses.cli.sending.lines import read_lines
from support.mails.mail import raw_mail

FIELDS: dict[str, Any] = {"sender": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}


def read(**fields: Any) -> Any:
    (line,) = read_lines(BytesIO(json.dumps({**FIELDS, **fields}).encode() + b"\n"))
    return line


def test_an_attachment_in_a_line_is_base64() -> None:
    line = read(attachments=[{"filename": "note.txt", "content": "SGVsbG8="}])
    (attachment,) = line.submission.message.attachments
    assert (attachment.content, attachment.content_type) == (b"Hello", "text/plain")
    refused = read(attachments=[{"filename": "note.txt", "content": "plain words"}])
    assert refused.submission is None
    assert refused.problem.startswith("attachments[0].content: is not base64 (")


def test_a_line_with_data_is_mime_in_base64() -> None:
    fields = json.loads(raw_mail().to_payload()) | {"key": "k", "delay": 60}
    (line,) = read_lines(BytesIO(json.dumps(fields).encode()))
    assert line.submission == Submission(raw_mail(), "k", delay=60)


def test_an_unknown_field_of_a_line_is_told_its_name() -> None:
    line = read(to="Ann", **{"from": "a@example.com", "idempotency_key": "k"})
    assert line.submission is None
    for problem in (
        "from: is not a field: did you mean sender?",
        "idempotency_key: is not a field: did you mean key, a term of sending",
        "write local@domain or Name <local@domain>",
    ):
        assert problem in line.problem
