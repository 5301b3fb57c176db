"""What an entry of SendBulkEmail comes to: SES's statuses, and what a scripted step makes of an entry.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rq_ses_worker.simulator.api import answers
from rq_ses_worker.simulator.api.steps import STATUSES, Step

SUCCESS: Final = "SUCCESS"
ODD: Final = "DEFERRED_BY_POLICY"
"""A status that SES doesn't have, as it may have one tomorrow."""

_BY_WORD: Final = {
    "429": "ACCOUNT_THROTTLED",
    "throttle": "ACCOUNT_THROTTLED",
    "quota": "ACCOUNT_DAILY_QUOTA_EXCEEDED",
    "reject": "MESSAGE_REJECTED",
    "paused": "ACCOUNT_SENDING_PAUSED",
    "suspended": "ACCOUNT_SUSPENDED",
    "400": "INVALID_PARAMETER",
    "404": "TEMPLATE_NOT_FOUND",
    "408": "TRANSIENT_FAILURE",
} | {word: word.upper() for word in STATUSES}

_TEXTS: Final = {
    "ACCOUNT_THROTTLED": answers.RATE_EXCEEDED.message,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": answers.QUOTA_EXCEEDED.message,
    "ACCOUNT_SENDING_PAUSED": answers.SENDING_PAUSED.message,
    "ACCOUNT_SUSPENDED": answers.ACCOUNT_SUSPENDED.message,
    "TRANSIENT_FAILURE": "Amazon SES was unable to process your request because of a temporary issue.",
    "TEMPLATE_NOT_FOUND": "The template you specified does not exist.",
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": "The sender's email address or domain was not verified.",
}
_WHOLE: Final = frozenset({"slow", "hints", "drop", "reset"})


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of an entry and how it is told: without an id, or not at all."""

    status: str | None = SUCCESS
    error: str | None = None
    accepts: bool = False
    with_id: bool = True
    told: bool = True

    def members(self, message_id: str | None) -> Mapping[str, Any]:
        """Return it as SES's answer has it."""
        shown = message_id if self.with_id else None
        members = {"Status": self.status, "Error": self.error, "MessageId": shown}
        return {name: value for name, value in members.items() if value is not None}


ACCEPTED: Final = Result(accepts=True)


def refused(status: str, text: str | None = None) -> Result:
    """Return the result of an entry that isn't sent, in SES's words or those given."""
    return Result(status, text or _TEXTS.get(status, "The entry was answered as its script says."))


def is_of_the_whole(step: Step) -> bool:
    """Tell whether a step is about the request or its connection, and not about one entry."""
    return step.word in _WHOLE or step.word.startswith(("html", "all"))


def result_of(step: Step, address: str, region: str) -> Result:
    """Return what a step makes of the entry that is sent to `address`."""
    match step.word:
        case "noid":
            return Result(accepts=True, with_id=False)
        case "noresult":
            return Result(accepts=True, told=False)
        case "nostatus":
            return Result(None, "The entry has no status.")
        case "oddstatus":
            return refused(ODD)
        case "reject":
            return refused("MESSAGE_REJECTED", answers.not_verified([address], region).message)
    status = _BY_WORD.get(step.word)
    if status is None:
        status = "TRANSIENT_FAILURE" if step.word.startswith("5") else "FAILED"
    return refused(status)
