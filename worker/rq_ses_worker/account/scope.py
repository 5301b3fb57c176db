"""What an outcome says of the account rather than of its mail: pure, and the whole rule in one place.

account   every other mail would end just so: paused, suspended, the day's quota, keys, clock, endpoint
failing   perhaps only this once, perhaps not: no answer, a 5xx, an answer that isn't SES's
neutral   says nothing: a rate limit (the bucket's business)
healthy   SES has taken the mail, or refused it for a reason of its own
"""

from __future__ import annotations

import re
from typing import Final, Literal

from rq_ses_worker.ses.outcome import ACCESS_DENIED, Outcome, RateLimited, Sent, Terminal, Transient, is_skew

Scope = Literal["account", "failing", "neutral", "healthy"]

_BOUND: Final = 2000
"""Characters of an answer's text that are looked at."""

KEYS_REFUSED: Final = frozenset(
    {
        # Ours: nobody has keys to sign with.
        "CredentialsUnavailable",
        # Keys that are wrong, unknown or out of date, by the names of SES v2 and of other AWS services.
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes of the answers that blame credentials."""

_ACCOUNT_CODES: Final = KEYS_REFUSED | {
    "AccountSuspendedException",
    # The same in the answer to a bulk request.
    "ACCOUNT_SENDING_PAUSED",
    "ACCOUNT_SUSPENDED",
    # Ours: the server isn't the one it should be.
    "CertificateRefused",
    "IncompleteSignature",
    "IncompleteSignatureException",
    # An account that isn't one.
    "OptInRequired",
    "SubscriptionRequiredException",
    # There is no such operation: base_url leads elsewhere.
    "UnknownOperationException",
}
"""Codes with which every other mail of the account would end, too."""

_ENTRY_CODES: Final = frozenset(
    {
        # Ours: SES has answered, if to something else than we know.
        "UnknownStatus",
        "CONFIGURATION_SET_NOT_FOUND",
        "CONFIGURATION_SET_SENDING_PAUSED",
        "FAILED",
        "INVALID_PARAMETER",
        "INVALID_SENDING_POOL_NAME",
        "MAIL_FROM_DOMAIN_NOT_VERIFIED",
        "MESSAGE_REJECTED",
        "TEMPLATE_NOT_FOUND",
    }
)
"""What SES says of one entry of a bulk request, and not of every mail of the account."""

_PAUSED: Final = re.compile(r"sending (?:is )?(?:currently )?paused", re.IGNORECASE)
_CONFIGURATION_SET: Final = re.compile(r"configuration[ -]?set", re.IGNORECASE)
_RESOURCE: Final = re.compile(r":(?:identity|configuration-set|template)/", re.IGNORECASE)


def scope(outcome: Outcome) -> Scope:
    """Return what an outcome says of the account."""
    if isinstance(outcome, Sent):
        return "healthy"
    if account_cause(outcome) is not None:
        return "account"
    if isinstance(outcome, RateLimited):
        return "neutral"
    if isinstance(outcome, Transient):
        return "neutral" if outcome.code == "ClientClosed" else "failing"
    # A refusal without a name is no word of SES's; without a status it is a defect of ours.
    named = outcome.code and (outcome.status is not None or outcome.code in _ENTRY_CODES)
    return "healthy" if named else "failing"


def account_cause(outcome: Outcome) -> str | None:
    """Return why every other mail of the account would end like this one, or None if that isn't so."""
    text = getattr(outcome, "message", "")[:_BOUND]
    if isinstance(outcome, Sent):
        return None
    if isinstance(outcome, RateLimited):
        return "daily quota" if outcome.quota else None
    if outcome.code in _ACCOUNT_CODES:
        return outcome.code
    if isinstance(outcome, Transient):
        return None
    return _terminal_cause(outcome, text)


def _terminal_cause(outcome: Terminal, text: str) -> str | None:
    if is_skew(outcome):
        return "clock skew"
    if outcome.code == "SendingPausedException":
        return None if _CONFIGURATION_SET.search(text) else outcome.code
    if outcome.code == "MessageRejected" and _PAUSED.search(text):
        return None if _CONFIGURATION_SET.search(text) else "sending paused"
    # Denied for one identity, others may be allowed; denied without naming one, the keys may send for none.
    if outcome.code in ACCESS_DENIED:
        return None if _RESOURCE.search(text) else outcome.code
    if outcome.status is not None and (outcome.status < 400 or outcome.status == 407):
        return "not SES"
    return None
