"""What of an outcome may be shown, and in which words."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from rq_ses_worker.ses.outcome import (
    Outcome,
    RateLimited,
    Sent,
    Terminal,
    Transient,
    classify,
    details,
    summary,
)

TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKENEXAMPLETOKEN+/="


def test_the_summary_is_ses_own_sentence_with_its_facts_behind() -> None:
    outcome = Terminal(400, "MessageRejected", "Email address is not verified. b@example.com", "r-1")
    assert summary(outcome) == (
        "MessageRejected: Email address is not verified. b@example.com (HTTP 400, request id r-1)"
    )


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Transient(503, request_id="r"), "HTTP 503: Service Unavailable (request id r)"),
        (Terminal(400, "SerializationException"), "SerializationException (HTTP 400)"),
        (Terminal(404, message="Gone."), "HTTP 404: Gone."),
        (Transient(599, ambiguous=True), "HTTP 599 (SES may have accepted the mail)"),
        (
            Transient(code="ReadTimeout", message="No answer within 5 s.", ambiguous=True),
            "ReadTimeout: No answer within 5 s. (SES may have accepted the mail)",
        ),
        (Transient(), "No answer"),
        (Sent(200, message_id="m-1"), "Sent: message id m-1 (HTTP 200)"),
        (Sent(204), "Sent: message id unknown (HTTP 204)"),
    ],
)
def test_a_summary_says_what_is_known_once(outcome: Outcome, line: str) -> None:
    assert summary(outcome) == line


@pytest.mark.parametrize(
    "echo",
    [
        "It does not match.\n\nThe Canonical String for this request should have been\n'POST\n/v2\n\n"
        f"x-amz-security-token:{TOKEN}\n\nhost'\n\nThe String-to-Sign should have been\n'AWS4 {TOKEN}'",
        f"Authorization=AWS4-HMAC-SHA256 Credential=AKID/2026, SignedHeaders=host, Signature={TOKEN}",
        f"not a valid key=value pair in Authorization header: 'Credential=AKID/x Signature={TOKEN}'.",
        f'header "x-amz-security-token": "{TOKEN}" is wrong',
        f"X-Amz-Security-Token={TOKEN}&X-Amz-Signature={TOKEN}",
        f"authorization: Bearer {TOKEN}",
        f"The token {TOKEN} is expired",
    ],
)
def test_echoed_signatures_and_tokens_are_shown_nowhere(echo: str) -> None:
    outcome = classify(
        403, {"x-amzn-RequestId": TOKEN}, json.dumps({"__type": TOKEN, "message": echo}).encode()
    )
    assert outcome.message == echo
    for shown in (summary(outcome), repr(outcome), str(outcome), json.dumps(details(outcome))):
        assert TOKEN[:20] not in shown


def test_ordinary_sentences_about_signatures_and_tokens_stay_readable() -> None:
    for text in (
        "The security token included in the request is invalid.",
        "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (… - 5 min.)",
        "Credential should be scoped to a valid region, not 'us-east-2'.",
        "The request signature we calculated does not match the signature you provided.",
    ):
        assert summary(Terminal(403, "X", text)) == f"X: {text} (HTTP 403)"


def test_a_long_text_is_cut_but_the_facts_behind_it_stay() -> None:
    line = summary(Terminal(400, "MessageRejected", "x" * 9_000, "r-1"))
    assert len(line) <= 500
    assert line.endswith("… (HTTP 400, request id r-1)")


def test_markup_and_control_characters_reach_no_page_and_no_terminal() -> None:
    outcome = Terminal(400, "<b>", "a\x1b[31m<script>\n\u202e&lt;", "<i>")
    for shown in (summary(outcome), *map(str, details(outcome).values())):
        assert shown.isprintable()
        assert not set(shown) & set("<>")


def test_details_are_ready_for_json_and_leave_out_what_is_not_known() -> None:
    assert details(Sent(200, None, "", "r", message_id="m")) == {
        "outcome": "sent",
        "status": 200,
        "message": "",
        "request_id": "r",
        "ambiguous": False,
        "message_id": "m",
    }
    assert details(Transient(code="ReadTimeout", message="Late.", ambiguous=True)) == {
        "outcome": "transient",
        "code": "ReadTimeout",
        "message": "Late.",
        "ambiguous": True,
    }
    assert details(RateLimited(429))["outcome"] == "rate_limited"
    assert details(Terminal(400))["outcome"] == "terminal"


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Terminal(400).status = 200  # type: ignore[misc]
