"""A bulk job goes out without its suppressed entries, each of which ends by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rq_ses.campaign.bulkjob import BulkJob
from rq_ses.suppression import Suppressed
from rq_ses_worker.engine.bulk.suppressing import outcomes_of
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, Transient

LISTED = {"ann@example.com": Suppressed("ann@example.com", "bounce", datetime(2026, 11, 29, tzinfo=UTC))}


class Entry:
    def __init__(self, to: str) -> None:
        self.to, self.id = to, to


def job(*addresses: str) -> BulkJob:
    made: Any = type("Job", (), {"entries": [Entry(one) for one in addresses]})()
    return made  # type: ignore[no-any-return]


def test_only_those_that_may_be_sent_are_and_outcomes_keep_their_order() -> None:
    asked: list[list[str]] = []

    def send(entries: Sequence[Any]) -> list[Outcome]:
        asked.append([entry.to for entry in entries])
        return [Sent(200, message_id=entry.to) for entry in entries]

    first, second, third = outcomes_of(
        job("ben@example.com", "ANN@example.com", "carl@example.com"), LISTED, send
    )
    assert asked == [["ben@example.com", "carl@example.com"]]
    assert isinstance(second, Terminal)
    assert (first, second.code, third) == (
        Sent(200, message_id="ben@example.com"),
        "Suppressed",
        Sent(200, message_id="carl@example.com"),
    )


def test_one_answer_for_all_is_each_ones_that_was_sent() -> None:
    busy = Transient(503, "ServiceUnavailable", "Busy.")
    outcomes = outcomes_of(job("ann@example.com", "ben@example.com"), LISTED, lambda _: busy)
    assert outcomes[1] is busy
    assert isinstance(outcomes[0], Terminal)


def test_ses_is_not_asked_where_nobody_is_left() -> None:
    def never(_: Sequence[Any]) -> list[Outcome]:
        raise AssertionError("SES was asked")

    [outcome] = outcomes_of(job("ann@example.com"), LISTED, never)
    assert isinstance(outcome, Terminal)
