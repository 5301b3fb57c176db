"""The account's own suppression list: PutSuppressedDestination and its three neighbours.

It is kept and told, and changes nothing about mails: SES accepts those to its addresses, too, and tells of
them by an event. https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_PutSuppressedDestination.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs

from rq_ses_worker.simulator.api.account import MAILBOX_SIMULATOR
from rq_ses_worker.simulator.api.answers import THROTTLED_OPERATION, Answer, Refused, error
from rq_ses_worker.simulator.api.checks import bad, constraint, json_of, members_of, missing, page_size_of
from rq_ses_worker.simulator.api.operation import Asked

PAGE_SIZE: Final = 1000
_REASONS: Final = ("BOUNCE", "COMPLAINT")
_PAUSE: Final = 1.0
_SHOWN: Final = 320

_Said = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Destination:
    """One address of the list; `at` is epoch seconds."""

    address: str
    reason: str
    at: float

    @property
    def summary(self) -> dict[str, Any]:
        """As SES tells it."""
        return {"EmailAddress": self.address, "Reason": self.reason, "LastUpdateTime": self.at}


class SuppressedDestinations:
    """The list, and the operations over it; what is refused raises Refused. Threads may share it.

    With `limited`, the list is told once a second, as SES does. In the sandbox nothing is put on it.
    """

    def __init__(self, *, limited: bool, sandbox: bool) -> None:
        self._limited = limited
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._listed: dict[str, Destination] = {}
        self._told: float | None = None
        self._operations: Mapping[str, Callable[[Asked, float, float], dict[str, Any]]] = {
            "ListSuppressedDestinations": self._list,
            "PutSuppressedDestination": self._put,
            "GetSuppressedDestination": self._get,
            "DeleteSuppressedDestination": self._delete,
        }

    def clear(self) -> None:
        """Forget all addresses."""
        with self._lock:
            self._listed.clear()
            self._told = None

    def answer(self, asked: Asked, at: float, monotonic: float) -> Answer:
        """Return the answer to one request that came `at` (epoch seconds; also `monotonic`)."""
        with self._lock:
            return Answer(200, members=self._operations[asked.operation](asked, at, monotonic))

    def _put(self, asked: Asked, at: float, _: float) -> dict[str, Any]:
        request = members_of(json_of(asked.body), "request")
        address, reason = request.get("EmailAddress"), request.get("Reason")
        for value, member in ((address, "emailAddress"), (reason, "reason")):
            if value is None:
                raise missing(member)
        if reason not in _REASONS:
            raise constraint("reason", f"satisfy enum value set: [{', '.join(_REASONS)}]")
        if not isinstance(address, str) or "@" not in address:
            raise bad("Email address is not valid")
        _refuse_tenant(request.get("TenantName"))
        if self._sandbox:
            raise bad("The account is in the sandbox and can't add addresses to the suppression list")
        # SES puts none of its mailbox simulator's addresses on a list.
        if not address.lower().endswith(f"@{MAILBOX_SIMULATOR}"):
            self._listed[address] = Destination(address, reason, at)
        return {}

    def _get(self, asked: Asked, _: float, __: float) -> dict[str, Any]:
        return {"SuppressedDestination": self._found(asked).summary}

    def _delete(self, asked: Asked, _: float, __: float) -> dict[str, Any]:
        del self._listed[self._found(asked).address]
        return {}

    def _found(self, asked: Asked) -> Destination:
        _refuse_tenant(_last(parse_qs(asked.query), "TenantName"))
        found = self._listed.get(asked.name)
        if found is None:
            raise Refused(
                error(
                    404,
                    "NotFoundException",
                    f"Email address {asked.name[:_SHOWN]} does not exist on your suppression list.",
                )
            )
        return found

    def _list(self, asked: Asked, _: float, monotonic: float) -> dict[str, Any]:
        if self._limited:
            if self._told is not None and monotonic - self._told < _PAUSE:
                raise Refused(THROTTLED_OPERATION)
            self._told = monotonic
        said = parse_qs(asked.query)
        _refuse_tenant(_last(said, "TenantName"))
        wanted = [one for _, one in sorted(self._listed.items()) if _is_wanted(one, said)]
        size, token = page_size_of(_last(said, "PageSize"), PAGE_SIZE, PAGE_SIZE), _last(said, "NextToken")
        if token is not None:
            if token not in self._listed:
                raise Refused(error(400, "InvalidNextTokenException", "The NextToken is not valid."))
            wanted = [one for one in wanted if one.address > token]
        chosen = wanted[:size]
        more = {"NextToken": chosen[-1].address} if len(wanted) > size else {}
        return {"SuppressedDestinationSummaries": [one.summary for one in chosen], **more}


def _is_wanted(one: Destination, said: _Said) -> bool:
    reasons = said.get("Reason", _REASONS)
    since, until = _moment(said, "StartDate"), _moment(said, "EndDate")
    return one.reason in reasons and (since is None or one.at >= since) and (until is None or one.at < until)


def _moment(said: _Said, name: str) -> float | None:
    given = _last(said, name)
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given).timestamp()
    except ValueError:
        raise constraint(name[0].lower() + name[1:], "be a date and time in ISO 8601") from None


def _last(said: _Said, name: str) -> str | None:
    values = said.get(name)
    return values[-1] if values else None


def _refuse_tenant(name: object) -> None:
    if name is not None:
        raise Refused(error(404, "NotFoundException", "The account has no tenant of this name."))
