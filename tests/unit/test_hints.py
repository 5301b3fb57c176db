"""Every error has a hint that names cause and remedy, in text that can stand anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import rq_ses_worker
from rq_ses import hints
from rq_ses.hints import hint_for
from rq_ses.text.plaintext import one_line
from rq_ses_worker.ses.failure import failed
from rq_ses_worker.ses.outcome import _THROTTLING_CODES, Terminal, hinted
from rq_ses_worker.ses.wire.deadline import Phase

ALL = {*hints._BY_CODE.values(), *(hint for _, hint in hints._BY_TEXT)}

SES_CODES = [
    "TooManyRequestsException",
    "BadRequestException",
    "LimitExceededException",
    "MessageRejected",
    "MailFromDomainNotVerifiedException",
    "AccountSuspendedException",
    "SendingPausedException",
    "NotFoundException",
    "InternalServiceErrorException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidClientTokenId",
    "ExpiredTokenException",
    "AccessDeniedException",
    "ThrottlingException",
    "Throttling",
    "UnknownOperationException",
    "IncompleteSignature",
    "SlowDown",
    "RequestAbortedException",
]


@pytest.mark.parametrize("code", [*SES_CODES, *sorted(_THROTTLING_CODES)])
def test_each_code_of_ses_has_a_hint_whatever_comes_with_it(code: str) -> None:
    assert hint_for(code, "", 400)
    assert hint_for(code, "words nobody has seen yet", 400) == hints._BY_CODE[code]


def test_each_code_of_our_own_has_a_hint() -> None:
    sources = [path.read_text() for path in Path(rq_ses_worker.__path__[0]).rglob("*.py")]
    named = re.compile(r'(?:code=|_safe\(\s*|_unsure\(\s*|JobRefused\(\s*)"([A-Z]\w+)"')
    found = {code for source in sources for code in named.findall(source)}
    found |= {code for source in sources for code in re.findall(r'"(\w+Lost): ', source)}
    found |= {code for source in sources for code in re.findall(r'_LOST: Final = "(\w+)"', source)}
    assert {"ReadTimeout", "ProxyError", "CertificateRefused", "InvalidMessage", "WorkerLost"} <= found
    assert {"InternalError", "PayloadLost", "WriteTimeout", "Expired", "JobRefused"} <= found
    assert [code for code in sorted(found) if not hint_for(code, "", None)] == []


@pytest.mark.parametrize(
    ("code", "message", "status", "words"),
    [
        # The rows of the table of gotchas that every user of SES meets.
        (
            "MessageRejected",
            "Email address is not verified. The following …",
            400,
            "request production access",
        ),
        ("MessageRejected", "Email address not verified", 400, "In the sandbox"),
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier …", 403, "NTP"),
        ("SignatureDoesNotMatch", "", 403, "clock is off"),
        ("InvalidSignatureException", "Signature not yet current: 2026… is still later", 403, "NTP"),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", 403, "rotate it"),
        ("UnrecognizedClientException", "", 403, "IAM console"),
        # What shares a name.
        ("MessageRejected", "Sending paused for this account. For more information …", 400, "has paused"),
        ("SendingPausedException", "Sending paused for this configuration set.", 400, "configuration set"),
        ("MessageRejected", "Sending is paused for configuration set <x>.", 400, "configuration set"),
        ("CONFIGURATION_SET_SENDING_PAUSED", "So.", None, "configuration set"),
        ("ACCOUNT_SENDING_PAUSED", "So.", None, "has paused"),
        ("MessageRejected", "Something else.", 400, "its words above say why"),
        ("TooManyRequestsException", "Maximum sending rate exceeded.", 429, "more slowly"),
        ("TooManyRequestsException", "Daily message quota exceeded", 429, "24 hours"),
        ("InvalidSignatureException", "The request signature we calculated does not match …", 403, "secret"),
        ("InvalidSignatureException", "Credential should be scoped to a valid region", 403, "AWS_REGION"),
        ("ExpiredToken", "The security token included in the request is expired", 403, "renews"),
        ("AccessDeniedException", "User: arn:… is not authorized to perform: ses:SendEmail", 403, "--policy"),
        ("BadRequestException", "Missing final '@domain'", 400, "one of the addresses"),
        ("BadRequestException", "Message length is more than 41943040 bytes long", 400, "40 MB"),
        ("NotFoundException", "Configuration set <prod> does not exist.", 404, "configuration set"),
        ("NotFoundException", "Template welcome does not exist", 404, "template"),
        (None, "Daily message quota exceeded", 429, "24 hours"),
        (None, "", 429, "more slowly"),
        (None, "", 502, "a server on the way"),
        (None, "", 404, "RQ_SES_BASE_URL"),
        (None, "", 301, "RQ_SES_BASE_URL"),
        ("ReadTimeout", "No answer within 5 s.", None, "RQ_SES_TIMEOUT"),
        ("CertificateRefused", "The server's certificate is refused: …", None, "RQ_SES_CA_BUNDLE"),
    ],
)
def test_a_hint_names_cause_or_remedy(code: str | None, message: str, status: int | None, words: str) -> None:
    hint = hint_for(code, message, status)
    assert hint is not None
    assert words in hint


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [(None, "", None), ("Sonderbar", "", None), (None, "", 400), ("Teapot", "short and stout", 418)],
)
def test_what_is_not_known_has_none(code: str | None, message: str, status: int | None) -> None:
    assert hint_for(code, message, status) is None


def test_a_hint_is_one_plain_line_of_a_sentence_or_a_few() -> None:
    for hint in ALL:
        assert one_line(hint, 400) == hint
        assert not re.search(r"[<>&\[\]\n]", hint)
        assert hint.endswith(".")


def test_a_text_of_a_stranger_decides_between_hints_and_never_stands_in_one() -> None:
    hostile = "<script>alert(1)</script> Email address is not verified" + "x" * 100_000
    assert hint_for("MessageRejected", hostile, 400) == hints._UNVERIFIED
    assert hint_for("<b>", hostile[:20], 400) is None


def test_our_own_errors_are_told_by_their_names_whatever_their_texts_hold() -> None:
    assert (
        hint_for("InvalidMessage", "subject: 'Signature expired'", None) == hints._BY_CODE["InvalidMessage"]
    )


def test_the_hint_stands_under_the_line_and_an_unknown_error_has_the_line_alone() -> None:
    outcome = Terminal(400, "MessageRejected", "Email address is not verified.")
    line, hint = hinted("the line; gave up", outcome).split("\n")
    assert line == "the line; gave up"
    assert hint == f"Hint: {hints._UNVERIFIED}"
    assert hinted("the line", replace(outcome, code="Teapot", message="")) == "the line"


def test_what_no_answer_came_of_has_a_hint() -> None:
    for phase in Phase:
        for error in (TimeoutError(), ConnectionRefusedError(), ConnectionResetError(), ValueError()):
            outcome = failed(error, phase, 5.0)
            assert "\nHint: " in hinted("line", outcome)
            assert ("SES may have sent" in hinted("line", outcome)) == outcome.ambiguous, (phase, error)
