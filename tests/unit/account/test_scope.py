"""Which answers concern the whole account, and which a mail alone."""

from __future__ import annotations

import pytest

from rq_ses_worker.account.scope import account_cause, scope
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient, classify


def refused(code: str | None, message: str = "", status: int | None = 400) -> Terminal:
    return Terminal(status=status, code=code, message=message)


@pytest.mark.parametrize(
    "outcome",
    [
        refused("SendingPausedException", "the account's ability to send email is currently paused."),
        refused("MessageRejected", "Sending paused for this account. For more information, …"),
        refused("AccountSuspendedException", "permanently restricted"),
        RateLimited(429, "TooManyRequestsException", "Daily message quota exceeded", quota=True),
        refused("InvalidSignatureException", "The request signature we calculated does not match", 403),
        refused("UnrecognizedClientException", "The security token included is invalid.", 403),
        refused("SignatureDoesNotMatch", "", 403),
        refused("InvalidClientTokenId", "", 403),
        refused("ExpiredTokenException", "", 403),
        refused("MissingAuthenticationTokenException", "", 403),
        refused("IncompleteSignature", "", 403),
        refused(
            "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than …", 403
        ),
        refused("AccessDeniedException", "You do not have sufficient access to perform this action.", 403),
        Transient(None, "CredentialsUnavailable", "No source has any."),
        refused("CertificateRefused", "self-signed certificate", None),
        refused("UnknownOperationException", "", 404),
        classify(200, {"Content-Type": "text/html"}, b"<html><body>Welcome</body></html>"),
        classify(301, {}, b""),
        refused(None, "", 407),
    ],
)
def test_what_concerns_every_mail_is_the_accounts(outcome: Outcome) -> None:
    assert account_cause(outcome)
    assert scope(outcome) == "account"


@pytest.mark.parametrize(
    "outcome",
    [
        Sent(200, message_id="m"),
        refused("MessageRejected", "Email address is not verified. …: sending@paused.example"),
        refused("MailFromDomainNotVerifiedException", ""),
        refused("NotFoundException", "Configuration set <x> does not exist.", 404),
        refused("BadRequestException", "Illegal address"),
        refused("SendingPausedException", "Sending is paused for the configuration set marketing."),
        refused("MessageRejected", "Sending paused for this configuration set."),
        refused(
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: ses:SendEmail on resource: "
            "arn:aws:ses:us-east-1:1:identity/example.com",
            403,
        ),
    ],
)
def test_what_concerns_a_mail_alone_is_healthy(outcome: Outcome) -> None:
    assert account_cause(outcome) is None
    assert scope(outcome) == "healthy"


@pytest.mark.parametrize(
    ("outcome", "about"),
    [
        (Transient(503, "ServiceUnavailable", ""), "failing"),
        (Transient(None, "ReadTimeout", "No answer within 5 s.", ambiguous=True), "failing"),
        (Transient(None, "ConnectionRefused", ""), "failing"),
        (Transient(None, "ClientClosed", ""), "neutral"),
        (RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded."), "neutral"),
        # A proxy's refusal, and a defect of ours: perhaps only this mail's.
        (classify(403, {"Content-Type": "text/html"}, b"<html><body>Blocked</body></html>"), "failing"),
        (Terminal(None, "InternalError", "KeyError while sending", ambiguous=True), "failing"),
    ],
)
def test_what_may_be_either_is_counted(outcome: Outcome, about: str) -> None:
    assert account_cause(outcome) is None
    assert scope(outcome) == about
