"""How SES answered, as one of four classes.

    Outcome
    ├── Sent          SES has the mail; it must never be sent again
    ├── RateLimited   SES refused it for now: too fast, or the daily quota is used up (`quota`)
    ├── Transient     something failed that may work a second later
    └── Terminal      it will fail again just so until somebody changes something

`ambiguous` says that SES may have accepted the mail although no answer says so.
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeAlias

from rq_ses.hints import hint_for
from rq_ses.text.plaintext import one_line
from rq_ses_worker.ses.answer import Answer, read
from rq_ses_worker.ses.redaction import redact
from rq_ses_worker.ses.wire.headers import lower_names
from rq_ses_worker.ses.wire.httpdate import parse_http_date

SUMMARY_LIMIT: Final = 500
RETRY_AFTER_LIMIT: Final = 86_400.0
"""Seconds; a server that asks for more is not taken at its word."""

_WORD_LIMIT: Final = 120

_THROTTLING_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
"""What AWS's SDKs take for throttling, as far as it isn't of other services alone.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

_TRANSIENT_STATUSES: Final = frozenset({408, 421, 425})
"""The request came too slowly, to the wrong server (RFC 9110, 15.5.9 and 15.5.20) or too early (RFC 8470)."""

_TRANSIENT_CODES: Final = frozenset({"RequestAbortedException", "RequestTimeout", "RequestTimeoutException"})
_REFUSED_5XX: Final = frozenset({501, 503, 505, 508, 511, 521, 523, 525, 526, 529})
"""Answers of a server that didn't take the request on; after any other 5xx SES may have accepted it.

Some are in no RFC: 521 to 526 are Cloudflare's, for an origin that it can't reach; 529 is "overloaded".
"""

_FORWARDED: Final = re.compile(
    r"disconnect/reset before headers"
    r"(?!\. reset reason: (?:(?:remote |local )?connection (?:failure|timeout)|overflow))"
    r"|backend fetch failed",
    re.IGNORECASE,
)
"""What Envoy and Varnish write into a 503 when they lost SES behind the request, and not before it."""

ACCESS_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})
"""What SES says where IAM doesn't allow the action."""

_SKEW_CODES: Final = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
"""What AWS's SDKs take for clock skew and what is nothing else; the other codes need the text, too."""
_SKEW_TEXT: Final = re.compile(
    r"signature (?:has )?expired|signature not yet current"
    r"|difference between the request time and the (?:current|server'?s?) time",
    re.IGNORECASE,
)
_LIMIT_TEXT: Final = re.compile(r"\b(?:rates?|quotas?)\b", re.IGNORECASE)
_QUOTA_TEXT: Final = re.compile(
    r"\bdaily\b|\b24[ -]?hour|\b(?:message|sending|send) quota\b|(?<!\brate )\bquota exceeded", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, repr=False)
class _Answered:
    status: int | None = None
    """HTTP status, None if there was no answer."""
    code: str | None = None
    """SES's name of the error, or ours if there was no answer (ReadTimeout, ProxyError …)."""
    message: str = ""
    """The text as SES wrote it: it may echo addresses, and signatures; show `summary` instead."""
    request_id: str | None = None
    ambiguous: bool = False
    answered: str = field(default="", compare=False, kw_only=True)
    """Content type and first words of an answer that names neither error nor mail: they tell whose it is."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({summary(self)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Sent(_Answered):
    """SES accepted the mail; `message_id` is None where the answer was cut."""

    message_id: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class RateLimited(_Answered):
    """SES refused the mail for now; `retry_after` are the seconds a server asked for, if it did."""

    retry_after: float | None = None
    quota: bool = False
    """True if the day's quota is used up, which takes hours to clear, not seconds."""


@dataclass(frozen=True, slots=True, repr=False)
class Transient(_Answered):
    """Something failed on the way or inside SES; `retry_after` are the seconds a server asked for."""

    retry_after: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Terminal(_Answered):
    """SES refused the mail for good, or base_url, keys or certificates are wrong."""


Outcome: TypeAlias = Sent | RateLimited | Transient | Terminal


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what an HTTP answer means for the mail; pure, and any headers and bytes will do."""
    answer = read(headers, body)
    code, message, request_id = answer.code, answer.message, answer.request_id
    if 200 <= status < 300 and not (answer.is_foreign or (code and not answer.message_id)):
        told = "" if answer.message_id else answer.first_words
        return Sent(status, code, message, request_id, message_id=answer.message_id, answered=told)
    answered = "" if code else answer.first_words
    if status < 400:
        # SES never redirects: what does so keeps the request to itself. Any other answer of this kind may be
        # what a front end made of SES's own.
        return Terminal(status, code, message, request_id, status < 300, answered=answered)
    if _is_throttled(status, answer):
        quota = _QUOTA_TEXT.search(message[:SUMMARY_LIMIT]) is not None
        retry_after = _retry_after(headers)
        return RateLimited(
            status, code, message, request_id, retry_after=retry_after, quota=quota, answered=answered
        )
    if status >= 500 or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES:
        ambiguous = code == "RequestAbortedException" or (
            status >= 500 and (status not in _REFUSED_5XX or (not code and _was_forwarded(answer)))
        )
        retry_after = _retry_after(headers)
        return Transient(
            status, code, message, request_id, ambiguous, retry_after=retry_after, answered=answered
        )
    # Whoever wrote it, a 4xx says that the request went no further.
    return Terminal(status, code, message, request_id, answered=answered)


def is_skew(outcome: Outcome) -> bool:
    """Tell whether SES refused the signature because our clock and its own disagree."""
    if not isinstance(outcome, Terminal):
        return False
    return outcome.code in _SKEW_CODES or _SKEW_TEXT.search(outcome.message[:SUMMARY_LIMIT]) is not None


def is_unnamed_failure(outcome: Outcome) -> bool:
    """Tell whether a transient failure names no error: a proxy may have sent it after passing the mail on."""
    return isinstance(outcome, Transient) and outcome.status is not None and not outcome.code


def summary(outcome: _Answered) -> str:
    """Return one line for a log or the failed registry: redacted, inert, at most 500 characters.

    `MessageRejected: Email address is not verified. … (HTTP 400, request id …)`
    """
    head, facts = "", []
    if isinstance(outcome, Sent):
        head = "Sent"
    elif outcome.code:
        head = one_line(redact(outcome.code), _WORD_LIMIT)
    if head and outcome.status is not None:
        facts.append(f"HTTP {outcome.status}")
    if outcome.request_id:
        facts.append(f"request id {one_line(redact(outcome.request_id), _WORD_LIMIT)}")
    if outcome.ambiguous:
        facts.append("SES may have accepted the mail")
    if not head:
        head = "No answer" if outcome.status is None else f"HTTP {outcome.status}"
    tail = f" ({', '.join(facts)})" if facts else ""
    text = one_line(redact(_text(outcome)), SUMMARY_LIMIT - len(head) - len(tail) - 2)
    return one_line(f"{head}: {text}{tail}" if text else f"{head}{tail}", SUMMARY_LIMIT)


def described(outcome: _Answered) -> str:
    """Return `summary`, and for an answer without an error's name what answered."""
    words = one_line(redact(outcome.answered), _WORD_LIMIT)
    return f"{summary(outcome)}; it is {words}" if words else summary(outcome)


def hinted(line: str, outcome: _Answered) -> str:
    """Return a line about an outcome and, where cause and remedy are known, a second one: `Hint: …`."""
    hint = hint_for(outcome.code, outcome.message, outcome.status)
    return f"{line}\nHint: {hint}" if hint else line


def details(outcome: Outcome) -> dict[str, object]:
    """Return the outcome for a job's meta: ready for JSON, redacted, inert; what is None is left out."""
    found: dict[str, object | None] = {
        "outcome": kind_of(outcome),
        "status": outcome.status,
        "code": _inert(outcome.code, _WORD_LIMIT),
        "message": _inert(outcome.message, SUMMARY_LIMIT),
        "request_id": _inert(outcome.request_id, _WORD_LIMIT),
        "ambiguous": outcome.ambiguous,
        "message_id": _inert(outcome.message_id, _WORD_LIMIT) if isinstance(outcome, Sent) else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def kind_of(outcome: Outcome) -> str:
    """Return the name of an outcome's class: sent, rate_limited, transient or terminal."""
    return _NAMES[type(outcome)]


_NAMES: Final[dict[type[_Answered], str]] = {
    Sent: "sent",
    RateLimited: "rate_limited",
    Transient: "transient",
    Terminal: "terminal",
}


def _inert(text: str | None, limit: int) -> str | None:
    return None if text is None else one_line(redact(text), limit)


def _text(outcome: _Answered) -> str:
    if isinstance(outcome, Sent):
        return f"message id {outcome.message_id or 'unknown'}"
    if isinstance(outcome, Terminal) and outcome.status is not None and outcome.status < 400:
        found = "the answer is not SES's." if outcome.ambiguous else "the base_url does not lead to SES."
        return " ".join(filter(None, [found, outcome.message]))
    if outcome.message.strip() or outcome.code or outcome.status is None:
        return outcome.message
    try:
        return HTTPStatus(outcome.status).phrase
    except ValueError:
        return ""


def _is_throttled(status: int, answer: Answer) -> bool:
    if status == 429 or answer.code in _THROTTLING_CODES:
        return True
    # A limit of resources everywhere else; SES uses the name for sending limits too.
    return answer.code == "LimitExceededException" and bool(
        _LIMIT_TEXT.search(answer.message[:SUMMARY_LIMIT])
    )


def _was_forwarded(answer: Answer) -> bool:
    return _FORWARDED.search(answer.beginning) is not None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds or a date (RFC 9110, section 10.2.3), which counts from the answer's own Date."""
    by_name = lower_names(headers)
    value = by_name.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value):
        return min(float(value), RETRY_AFTER_LIMIT)
    until, now = parse_http_date(value), parse_http_date(by_name.get("date", ""))
    if until is None or now is None or until < now:
        return None
    return min((until - now).total_seconds(), RETRY_AFTER_LIMIT)
