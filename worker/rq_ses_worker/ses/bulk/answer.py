"""How SES answered to each entry of a SendBulkEmail: 200, and a status for each, in their order.

Nothing of it is believed but the status: SUCCESS alone is "sent", whatever else an entry's result holds.
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rq_ses.text.jsontext import read_json
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient, classify

UNKNOWN_STATUS: Final = "UnknownStatus"
"""Our name of a status that is none of SES's, or is missing: SES may have accepted the entry."""

UNFIT_RESULTS: Final = "UnfitResults"
"""Our name of an answer whose results aren't those of the entries: SES may have accepted any of them."""

CUT_RESULTS: Final = "CutResults"
"""Our name of an answer that broke off: SES may have accepted any of the entries."""


def classified(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what an answer to a bulk request means: `Sent` is that there is a result for each entry."""
    if status == 200 and body.lstrip()[:40].startswith(_BEGINNING):
        # Classifying would look for a mail's id, and then keep the first words for whoever has to find out.
        request_id = headers.get("x-amzn-requestid") or headers.get("x-amzn-RequestId")
        return Sent(status, request_id=request_id)
    return classify(status, headers, body)


def outcomes(answer: Sent, body: bytes, entries: int) -> list[Outcome]:
    """Return how each of so many entries fared; pure, and any bytes will do.

    Args:
        answer: what was made of status and headers.
        body: of the answer.
        entries: how many the request had.
    """
    request_id = answer.request_id
    try:
        told = read_json(body)
    except (ValueError, RecursionError):
        text = "the answer broke off, so nobody knows which entries SES has accepted"
        return [Transient(answer.status, CUT_RESULTS, text, request_id, ambiguous=True)] * entries
    results = told.get("BulkEmailEntryResults") if isinstance(told, dict) else None
    if not isinstance(results, list) or len(results) != entries:
        found = f"{len(results)} results" if isinstance(results, list) else "no results"
        text = f"SES answered with {found} to {entries} entries, so nobody knows which it has accepted"
        return [Terminal(None, UNFIT_RESULTS, text, request_id, ambiguous=True)] * entries
    return [_outcome(result, answer.status, request_id) for result in results]


def _outcome(result: Any, http_status: int | None, request_id: str | None) -> Outcome:
    if not isinstance(result, dict):
        result = {}
    status, text, message_id = result.get("Status"), result.get("Error"), result.get("MessageId")
    if status == "SUCCESS":
        known = message_id if isinstance(message_id, str) and message_id.strip() else None
        return Sent(http_status, request_id=request_id, message_id=known)
    text = text if isinstance(text, str) else ""
    make = _MEANINGS.get(status) if isinstance(status, str) else None
    if make is None:
        shown = f"the status {status!r:.60} is none of SES's" if status else "SES gave no status"
        told = f"{shown}. {text}".rstrip(". ") + "."
        return Terminal(None, UNKNOWN_STATUS, told, request_id, ambiguous=True)
    # The 200 is the request's.
    return make(None, status, text, request_id)


def _quota(http_status: int | None, status: str, text: str, request_id: str | None) -> Outcome:
    return RateLimited(http_status, status, text, request_id, quota=True)


_MEANINGS: Final[dict[str, Callable[..., Outcome]]] = {
    "ACCOUNT_THROTTLED": RateLimited,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": _quota,
    "TRANSIENT_FAILURE": Transient,
    "ACCOUNT_SENDING_PAUSED": Terminal,
    "ACCOUNT_SUSPENDED": Terminal,
    "CONFIGURATION_SET_NOT_FOUND": Terminal,
    "CONFIGURATION_SET_SENDING_PAUSED": Terminal,
    "FAILED": Terminal,
    "INVALID_PARAMETER": Terminal,
    "INVALID_SENDING_POOL_NAME": Terminal,
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": Terminal,
    "MESSAGE_REJECTED": Terminal,
    "TEMPLATE_NOT_FOUND": Terminal,
}

_BEGINNING: Final = b'{"BulkEmailEntryResults"'

STATUSES: Final = frozenset({"SUCCESS", *_MEANINGS})
"""All that AWS's model knows."""
