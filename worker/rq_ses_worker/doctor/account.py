"""SES's answer to GetAccount: what it tells of the key, of the clock, and of the account itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from rq_ses.hints import hint_for
from rq_ses.text.figures import counted, rate
from rq_ses_worker.doctor.finding import Finding, Severity, ok, variable
from rq_ses_worker.ses.account import Account
from rq_ses_worker.ses.outcome import ACCESS_DENIED, Outcome, RateLimited, Transient, described, is_skew

CLOCK_WARNING: Final = 60.0
CLOCK_ERROR: Final = 240.0
"""Seconds; SES refuses signatures that are off by more than 300."""

_CLOCK_NOISE: Final = 2.0
"""Seconds; the Date header tells whole ones, and travels."""

_NEARLY: Final = 0.8
_DENIED: Final = ACCESS_DENIED | {"UnauthorizedOperation"}
_MISMATCHES: Final = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch"})
_UNNAMED: Final = frozenset({None, "InvalidAnswer", "UnknownOperationException"})
"""Names of errors that say nothing of key and signature: whoever answered so didn't look at them."""

_NOT_SES: Final = "see what stands between this host and SES: a proxy, a gateway or a firewall answered"
_ASK_AGAIN: Final = "run the doctor again in a moment; if it stays, look at the AWS Health Dashboard"

_OF_A_MAIL: Final = frozenset(
    {"ReadTimeout", "WriteTimeout", "WriteFailed", "ConnectionClosed", "InvalidAnswer"}
)
"""Their hints are about a mail that may have been sent; the doctor only asks."""


def hint_of(outcome: Outcome) -> str | None:
    """Return the hint for an answer to a question, None where there is none that fits."""
    return None if outcome.code in _OF_A_MAIL else hint_for(outcome.code, outcome.message, outcome.status)


def denied(outcome: Outcome) -> bool:
    """Tell whether AWS accepted the signature and refused the question alone."""
    return outcome.code in _DENIED


def judged_answer(
    answer: Account | Outcome, offset: timedelta | None, *, own_endpoint: bool
) -> Iterator[Finding]:
    """Yield what an answer to GetAccount says of the request's signature, and of the permission to ask.

    Args:
        answer: the account, or how SES refused to tell.
        offset: SES's clock minus ours, if it is known: it tells a wrong secret from a wrong clock.
        own_endpoint: RQ_SES_BASE_URL leads to something else than SES.
    """
    if isinstance(answer, Account):
        yield ok("ses.signature", "SES accepts the key and the signature")
    elif denied(answer):
        yield ok("ses.signature", "AWS accepts the key and the signature")
        yield Finding(
            "ses.getaccount",
            "info",
            f"the account can't be looked at ({_said(answer)}); mails are sent all the same",
            "allow ses:GetAccount on Resource *, which the automatic send rate needs, too: "
            "rq-ses doctor --policy",
        )
    else:
        yield _refusal(answer, offset, own_endpoint=own_endpoint)


def _refusal(answer: Outcome, offset: timedelta | None, *, own_endpoint: bool) -> Finding:
    said, hint = _said(answer), hint_of(answer)
    if answer.status is None:
        return Finding("ses.reached", "error", said, hint or "look at the way from this host to SES")
    not_ses = answer.code in _UNNAMED
    if own_endpoint and not_ses:
        url = variable("base_url")
        return Finding(
            "ses.getaccount",
            "warning",
            f"the server at {url} doesn't answer GetAccount as SES does ({said})",
            f"check {url}; a stand-in that knows SendEmail alone is fine for tests",
        )
    if isinstance(answer, RateLimited | Transient):
        return Finding("ses.reached", "warning", said, _ASK_AGAIN)
    general = answer.code in _MISMATCHES and hint == hint_for(answer.code, "", None)
    if general and _fits(offset):
        hint = "the clock is right, so the secret is not that of the key: copy both again, as a pair"
    remedy = _NOT_SES if not_ses else f"check key, secret and {variable('aws_region')}"
    return Finding("ses.signature", "error", said, hint or remedy)


def _said(answer: Outcome) -> str:
    return f"GetAccount: {described(answer)}"


def judged_clock(offset: timedelta | None, answer: Account | Outcome) -> Iterator[Finding]:
    """Yield how far this host's clock is off; `offset` is SES's minus ours, None if no answer told."""
    if offset is None:
        if isinstance(answer, Account) or answer.status is not None:
            yield Finding(
                "clock.offset",
                "info",
                "can't be compared: the answer has no Date",
                "see that NTP runs on this host (timedatectl)",
            )
        return
    seconds = abs(offset.total_seconds())
    if seconds <= _CLOCK_NOISE:
        yield ok("clock.offset", "agrees with SES's to a second or two")
        return
    side = "behind" if offset > timedelta(0) else "ahead of"
    text = f"{seconds:,.0f} s {side} SES's"
    refused = not isinstance(answer, Account) and is_skew(answer)
    if seconds > CLOCK_ERROR or refused:
        severity: Severity = "error"
        text = f"{text}: SES refuses signatures beyond 300 s (workers correct theirs by its Date)"
    elif seconds > CLOCK_WARNING:
        severity = "warning"
    else:
        yield ok("clock.offset", text)
        return
    yield Finding(
        "clock.offset",
        severity,
        text,
        "synchronise this host's clock: switch on NTP (timedatectl set-ntp true)",
    )


def _fits(offset: timedelta | None) -> bool:
    return offset is not None and abs(offset.total_seconds()) <= CLOCK_ERROR


def judged_account(account: Account) -> Iterator[Finding]:
    """Yield what stands in the way of sending in the account itself."""
    if account.production_access:
        yield ok("account.sandbox", "out of the sandbox: mails may go to anybody")
    else:
        yield Finding(
            "account.sandbox",
            "warning",
            "in the sandbox: mails go to verified recipients alone, 200 in 24 hours, one a second",
            "request production access (SES console, Account dashboard); until then verify your test "
            "recipients, or write to success@simulator.amazonses.com",
        )
    if account.sending_enabled:
        yield ok("account.sending", "sending is enabled")
    else:
        yield Finding(
            "account.sending", "error", "sending is paused", hint_for("SendingPausedException", "", 400) or ""
        )
    yield _enforcement(account.enforcement_status)
    yield _quota(account)
    if account.max_send_rate > 0:
        yield ok("account.rate", rate(account.max_send_rate))
    else:
        yield Finding("account.rate", "error", "the send rate is 0", "ask AWS Support why, and for a rate")


def _enforcement(status: str) -> Finding:
    if status == "HEALTHY":
        return ok("account.standing", "reputation HEALTHY")
    if status == "SHUTDOWN":
        remedy = hint_for("AccountSuspendedException", "", 400) or ""
        return Finding("account.standing", "error", "reputation SHUTDOWN: sending is stopped by AWS", remedy)
    return Finding(
        "account.standing",
        "warning",
        f"reputation {status}: sending may be stopped",
        "read AWS's mail to the account's owner and the reputation page of the SES console",
    )


def _quota(account: Account) -> Finding:
    sent, most = account.sent_last_24_hours, account.max_24_hour_send
    if most < 0:
        return ok(
            "account.quota",
            f"{counted(int(sent), 'recipient', 'recipients')} in the last 24 hours, of no limit",
        )
    text = f"{sent:,.0f} of {most:,.0f} recipients in the last 24 hours"
    remedy = "ask AWS for a higher sending quota (Service Quotas), or spread the mails over more hours"
    if sent >= most:
        return Finding("account.quota", "error", f"{text}: used up", remedy)
    if sent >= _NEARLY * most:
        return Finding("account.quota", "warning", f"{text}: nearly used up", remedy)
    return ok("account.quota", text)
