"""SES's own suppression list, a page at a time, read with suspicion: anybody may have answered.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_ListSuppressedDestinations.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, get_args
from urllib.parse import quote, urlencode

from rq_ses_worker.ses.account import Members, members_of
from rq_ses_worker.ses.outcome import Outcome

SUPPRESSION_PATH: Final = "/v2/email/suppression/addresses"

PAGE_SIZE: Final = 500
"""Addresses that a page has at most: with the longest it is read whole (rq_ses_worker.ses.echo)."""

SesReason = Literal["BOUNCE", "COMPLAINT"]
SES_REASONS: Final[tuple[SesReason, ...]] = get_args(SesReason)

_LATEST: Final = 1e11


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which addresses of SES's list are asked for."""

    reasons: Sequence[SesReason] = ()
    """None is all."""
    since: datetime | None = None
    """Put on the list then or later (aware)."""
    tenant: str | None = None
    """Of which tenant the list is; None is the account's own."""


class Listed(NamedTuple):
    """One address of SES's list, as SES writes it."""

    address: str
    reason: str
    at: datetime


class Page(NamedTuple):
    """A part of the list, and what asks for the next; "" at the end."""

    listed: list[Listed]
    next_token: str


def page_path(wanted: Wanted, token: str) -> str:
    """Return path and query of ListSuppressedDestinations for the first page, or that of a token."""
    pairs: list[tuple[str, str]] = [("PageSize", str(PAGE_SIZE))]
    pairs += [("Reason", reason) for reason in wanted.reasons]
    if wanted.since is not None:
        pairs.append(("StartDate", f"{wanted.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"))
    pairs += [("TenantName", wanted.tenant)] if wanted.tenant else []
    pairs += [("NextToken", token)] if token else []
    return f"{SUPPRESSION_PATH}?{urlencode(pairs, quote_via=quote)}"


def read_page(outcome: Outcome, body: bytes) -> Page:
    """Return the page that an answer holds. Raises AccountRefused if it holds none."""
    members = members_of("ListSuppressedDestinations", outcome, body)
    summaries = members.found.get("SuppressedDestinationSummaries", [])
    token = members.found.get("NextToken") or ""
    if not isinstance(summaries, list) or not isinstance(token, str):
        raise members.odd("has no list of SuppressedDestinationSummaries")
    return Page([_listed(members, one) for one in summaries], token)


def _listed(answer: Members, summary: Any) -> Listed:
    members: Mapping[str, Any] = summary if isinstance(summary, dict) else {}
    address, reason, at = (members.get(name) for name in ("EmailAddress", "Reason", "LastUpdateTime"))
    if not isinstance(address, str) or not isinstance(reason, str):
        raise answer.odd("has an entry without EmailAddress or Reason")
    # NaN is in no range, and a number of any size is compared as it is: math.isfinite takes not every one.
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < _LATEST:
        raise answer.odd("has an entry with an impossible LastUpdateTime")
    return Listed(address, reason, datetime.fromtimestamp(at, UTC))
