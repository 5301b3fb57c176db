"""SES's own list is taken over page by page; nothing that SES answers is taken at its word."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import pytest

from rq_ses.suppression import Added, Suppressed, Suppression
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.lookups.suppression import Listed, Page, Wanted, page_path, read_page
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from rq_ses_worker.suppression.sync import PATIENCE, sync

AT = datetime(2026, 11, 29, 10, tzinfo=UTC)
SLOW = AccountRefused(RateLimited(429, "TooManyRequestsException", "Rate exceeded."))
BUSY = AccountRefused(Transient(503, "ServiceUnavailable", "Busy."))
DENIED = AccountRefused(Terminal(403, "AccessDeniedException", "No."))


@dataclass
class Ours:
    """Our list, in memory."""

    there: dict[str, Suppressed] = field(default_factory=dict)

    def add_many(self, entries: Iterable[Suppressed]) -> Added:
        result = Added()
        for one in entries:
            if one.address.endswith("@simulator.amazonses.com"):
                result.excepted += 1
            elif one.address in self.there:
                result.known += 1
            else:
                self.there[one.address] = one
                result.added += 1
        return result

    def suppressed_of(self, addresses: Iterable[str]) -> dict[str, Suppressed]:
        return {one: self.there[one] for one in addresses if one in self.there}


@dataclass
class Ses:
    """Answers with pages, or raises, in this order."""

    answers: list[Page | AccountRefused]
    asked: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def list_suppressed(self, _: Wanted, token: str = "") -> Page:
        self.asked.append(token)
        answer = self.answers.pop(0)
        if isinstance(answer, AccountRefused):
            raise answer
        return answer


def page(*addresses: str, then: str = "") -> Page:
    return Page([Listed(one, "BOUNCE", AT) for one in addresses], then)


def run(ses: Ses, ours: Ours, **options: Any) -> Any:
    return sync(ses, cast(Suppression, ours), Wanted(), sleep=ses.slept.append, **options)


def test_every_page_is_taken_over_once() -> None:
    ses, ours = (
        Ses([page("Ann@Example.com", then="t1"), page("bob@bücher.example", "ann@example.com")]),
        Ours(),
    )
    told: list[int] = []
    result = run(ses, ours, on_progress=lambda done: told.append(done.seen))
    assert (ses.asked, told) == (["", "t1"], [1, 3])
    assert (result.seen, result.done.added, result.done.known) == (3, 2, 1)
    assert ours.there["ann@example.com"] == Suppressed("ann@example.com", "ses", AT, "bounce")


def test_a_dry_run_counts_and_changes_nothing() -> None:
    ours = Ours({"bob@example.com": Suppressed("bob@example.com", "bounce", AT)})
    answer = page(
        "ann@example.com", "ANN@example.com", "bob@example.com", "a@simulator.amazonses.com", "änn@x.example"
    )
    result = run(Ses([answer]), ours, dry_run=True)
    assert (result.done.added, result.done.known, result.done.excepted, result.unusable) == (1, 1, 1, 1)
    assert list(ours.there) == ["bob@example.com"]


def test_a_page_that_ses_does_not_give_is_asked_for_again() -> None:
    ses = Ses([SLOW, BUSY, page("ann@example.com")])
    assert run(ses, Ours()).done.added == 1
    assert (ses.asked, ses.slept) == (["", "", ""], list(PATIENCE[:2]))


def test_what_ses_refuses_is_told_at_once_and_what_it_never_gives_in_the_end() -> None:
    with pytest.raises(AccountRefused, match="AccessDeniedException"):
        run(ses := Ses([DENIED]), Ours())
    assert ses.slept == []
    with pytest.raises(AccountRefused, match="TooManyRequestsException"):
        run(Ses([SLOW] * (len(PATIENCE) + 1)), Ours())


def test_a_server_that_would_go_on_for_ever_does_not() -> None:
    ses = Ses([page("ann@example.com", then="t"), page("ann@example.com", then="t"), page()])
    run(ses, Ours())
    assert ses.asked == ["", "t"]


def test_the_question_says_what_is_wanted() -> None:
    path = page_path(Wanted(["BOUNCE", "COMPLAINT"], AT, "shop"), "a+/=")
    assert parse_qsl(urlsplit(path).query) == [
        ("PageSize", "500"),
        ("Reason", "BOUNCE"),
        ("Reason", "COMPLAINT"),
        ("StartDate", "2026-11-29T10:00:00Z"),
        ("TenantName", "shop"),
        ("NextToken", "a+/="),
    ]
    assert "a%2B%2F%3D" in path


ENTRY = {"EmailAddress": "ann@example.com", "Reason": "BOUNCE", "LastUpdateTime": AT.timestamp()}


def test_a_page_is_read() -> None:
    body = json.dumps({"SuppressedDestinationSummaries": [ENTRY], "NextToken": "t"}).encode()
    assert read_page(Sent(200), body) == Page([Listed("ann@example.com", "BOUNCE", AT)], "t")
    assert read_page(Sent(200), b"{}") == Page([], "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"NextToken": 1}',
        b'{"SuppressedDestinationSummaries": {}}',
        *(
            json.dumps({"SuppressedDestinationSummaries": [one]}).encode()
            for one in (
                1,
                {**ENTRY, "EmailAddress": None},
                {**ENTRY, "Reason": 1},
                {**ENTRY, "LastUpdateTime": True},
                {**ENTRY, "LastUpdateTime": 1e30},
                {**ENTRY, "LastUpdateTime": float("nan")},
                {**ENTRY, "LastUpdateTime": 10**400},
            )
        ),
    ],
)
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(
        AccountRefused, match=r"InvalidAnswer: The answer to ListSuppressedDestinations has|is"
    ):
        read_page(Sent(200), body)


def test_a_refusal_stays_one() -> None:
    outcome: Outcome = Terminal(403, "AccessDeniedException", "No.")
    with pytest.raises(AccountRefused):
        read_page(outcome, b"{}")
