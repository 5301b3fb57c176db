"""What becomes of the entries of a bulk job, in every combination of SES's answers."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from typing import Any

import pytest

from rq_ses.campaign.bulkjob import BulkJob, encode
from rq_ses.server.jobdata import inflated
from rq_ses_worker.engine.attempt import Attempt
from rq_ses_worker.engine.bulk.fates import Moment, settled, shed
from rq_ses_worker.engine.settling.outcomelog import OutcomeLog
from rq_ses_worker.lifecycle.observation import observed
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement, ended
from rq_ses_worker.lifecycle.retry import History, RetryPolicy
from rq_ses_worker.lifecycle.task import Task, read_job
from rq_ses_worker.monitoring.tally import Board
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.bulk.desk import addresses, queued

OUTCOMES: dict[str, Outcome] = {
    "sent": Sent(200, message_id="m"),
    "limited": RateLimited(None, "ACCOUNT_THROTTLED"),
    "transient": Transient(None, "TRANSIENT_FAILURE"),
    "rejected": Terminal(None, "MESSAGE_REJECTED", "No."),
    "odd": Terminal(None, "UnknownStatus", "?", ambiguous=True),
    "lost": Transient(None, "CutResults", "?", ambiguous=True),
}
ENTRIES = tuple(queued(to) for to in addresses(4))


def settle(
    *names: str,
    job_id: str = "f" * 32,
    attempts: int = 0,
    policy: RetryPolicy | None = None,
    known: dict[str, Outcome] = OUTCOMES,
) -> Settlement:
    job = BulkJob("spring", "0" * 32, ENTRIES[: len(names)])
    task = read_job(encode(job, {"on_unknown": "hold"}))
    attempt = Attempt(History(attempts, transient=attempts), policy or RetryPolicy(on_unknown="hold"))
    claim = Claim(Lease(0, job_id, "aaaaaaaa01"), b"", b"", fresh=True, hooked=False)
    outcomes = [known[name] for name in names]
    return settled(claim, task, job, attempt, outcomes, Moment(time.time(), 0.0, 0.0))


def everyone(found: Settlement, count: int) -> list[tuple[str, str, Any]]:
    """Return address, what becomes of it, and its job, of each entry."""
    assert found.bulk
    division = found.bulk.division
    if not division:
        return [(entry.to, found.action, "") for entry in ENTRIES[:count]]
    parts: list[tuple[str, str, bytes, int]] = [("", found.action, division.data, division.entries)]
    parts += [(part.job_id, part.action, part.data, part.entries) for part in division.parts]
    stand = []
    for job_id, action, data, entries in parts:
        task: Task = read_job(data)
        assert task.bulk
        assert task.on_unknown == "hold"
        assert len(task.bulk.entries) == entries
        assert not job_id or task.bulk.entries[0].id == job_id
        stand += [(entry.to, action, job_id) for entry in task.bulk.entries]
    return stand


WANTED = {
    "sent": "sent",
    "limited": "retry",
    "transient": "retry",
    "rejected": "failed",
    "odd": "failed",
    "lost": "failed",
}


@pytest.mark.parametrize("first", OUTCOMES)
@pytest.mark.parametrize("its_own_id", [False, True])
def test_every_entry_has_the_fate_of_its_own_answer(first: str, its_own_id: bool) -> None:
    job_id = ENTRIES[0].id if its_own_id else "f" * 32
    for others in itertools.product(OUTCOMES, repeat=2):
        names = (first, *others, "limited")
        found = settle(*names, job_id=job_id)
        stand = everyone(found, 4)
        assert sorted(to for to, _, _ in stand) == [entry.to for entry in ENTRIES]
        for to, action, where in stand:
            name = names[[entry.to for entry in ENTRIES].index(to)]
            assert action == WANTED[name], names
            if its_own_id and to == ENTRIES[0].to:
                assert where == "", "an id that is taken already"
        assert found.bulk
        assert [one.to for one in found.bulk.deliveries] == [
            entry.to for entry, name in zip(ENTRIES, names, strict=True) if name == "sent"
        ]
        assert sum(count for _, count in found.bulk.outcomes) == 4
        assert ended(found.bulk, found) == {
            "back": 0,
            "sent": 0,
            "retry": 0,
            "failed": 0,
            **Counter(WANTED[name] for name in names),
        }
        assert (found.bulk.division is None) == (len(set(names)) == 1)


def test_each_dead_entry_is_a_part_of_its_own_and_those_to_be_tried_again_are_one() -> None:
    found = settle("sent", "limited", "limited", "rejected")
    assert found.bulk
    assert found.bulk.division
    assert [(part.action, part.entries) for part in found.bulk.division.parts] == [
        ("retry", 2),
        ("failed", 1),
    ]
    again, dead = found.bulk.division.parts
    assert again.fields == {"delay": 5.0}
    assert again.meta["rate_limited"] == 1
    assert dead.fields["exc"].startswith("MESSAGE_REJECTED: No.")
    assert dead.description == "to-3@example.com → spring"


def test_entries_that_have_been_tried_often_enough_are_dead_each_by_itself() -> None:
    found = settle("sent", "transient", "transient", attempts=9)
    assert found.bulk
    assert found.bulk.division
    assert [part.action for part in found.bulk.division.parts] == ["failed", "failed"]
    assert "gave up after 10 attempts" in found.bulk.division.parts[0].fields["exc"]


@pytest.mark.parametrize("code", ["Suppressed", "RenderingFailure"])
@pytest.mark.parametrize("names", [(), ("sent",), ("limited", "transient"), ("rejected",)])
def test_entries_that_ses_was_not_asked_about_say_nothing_of_the_account(
    code: str, names: tuple[str, ...]
) -> None:
    ours = {"ours": Terminal(None, code, "Not sent.")}
    told = settle("ours", *names, known={**OUTCOMES, **ours})
    asked = settle(*names) if names else None
    assert told.outcome == (asked.outcome if asked else None)
    assert told.bulk
    assert told.bulk.outcomes == (asked.bulk.outcomes if asked and asked.bulk else ())
    if names:
        assert told.bulk.division
        [meta] = [part.meta for part in told.bulk.division.parts if b"to-0" in inflated(part.data)] or [
            told.meta
        ]
    else:
        meta = told.meta
    assert (meta["attempts"], meta["last_outcome"]["code"]) == (0, code)
    seen = observed([told._replace(probe=True)])
    assert (seen.verdict == "void") == (not names)
    assert (seen.account, code in seen.line) == (False, False)


@pytest.mark.parametrize("names", [(), ("sent",), ("limited",)])
def test_entries_that_an_event_has_told_of_are_sent_and_say_nothing_of_the_account(
    names: tuple[str, ...],
) -> None:
    told = settle("told", *names, known={**OUTCOMES, "told": Sent(message_id="m-1")})
    asked = settle(*names) if names else None
    assert told.bulk
    assert told.action == "sent"
    assert [one.message_id for one in told.bulk.deliveries] == [
        "m-1",
        *["m" for name in names if name == "sent"],
    ]
    assert told.outcome == (asked.outcome if asked else None)
    assert told.bulk.outcomes == (asked.bulk.outcomes if asked and asked.bulk else ())
    assert told.meta["attempts"] == (names == ("sent",))
    verdicts = {(): "void", ("sent",): "pass", ("limited",): "fail"}
    assert observed([told._replace(probe=True)]).verdict == verdicts[names]


def test_what_is_shed_keeps_its_order_and_its_terms() -> None:
    division = shed(BulkJob("spring", "0" * 32, ENTRIES), {"expires": 5.0}, 1, 2)
    assert division.entries == 1
    assert [(part.job_id, part.entries) for part in division.parts] == [
        (ENTRIES[1].id, 2),
        (ENTRIES[3].id, 1),
    ]
    assert read_job(division.parts[0].data).expires == 5.0


def test_the_log_tells_of_each_entry_by_its_own_id(caplog: pytest.LogCaptureFixture) -> None:
    found = settle("sent", "limited", "limited", "rejected")
    with caplog.at_level(logging.INFO):
        OutcomeLog(["mail-bulk"]).settled(found, "done")
    told = [(record.rq_ses_event.name, record.rq_ses_fields) for record in caplog.records]  # type: ignore[attr-defined]
    names = ["mail.sent", "bulk.divided", "mail.retried", "mail.failed"]
    assert [name for name, _ in told] == names
    by_name = dict(told)
    assert by_name["mail.sent"]["job_id"] == ENTRIES[0].id
    assert by_name["mail.sent"]["to"] == ENTRIES[0].to
    counts = {name: by_name["bulk.divided"][name] for name in ("entries", "sent", "again", "failed")}
    assert counts == {"entries": 4, "sent": 1, "again": 2, "failed": 1}
    assert by_name["mail.retried"]["entries"] == 2
    assert (by_name["mail.failed"]["job_id"], by_name["mail.failed"]["to"]) == (ENTRIES[3].id, ENTRIES[3].to)


def test_metrics_count_entries() -> None:
    tally = Board(1).tallies[0]
    found = settle("sent", "sent", "limited", "rejected")
    tally.attempted([found])
    tally.settled([found], ["done"])
    reading = tally.read()
    assert reading.outcomes == {
        ("sent", ""): 2,
        ("rate_limited", "ACCOUNT_THROTTLED"): 1,
        ("terminal", "MESSAGE_REJECTED"): 1,
    }
    assert reading.settled == {"sent": 2, "retry": 1, "failed": 1, "back": 0}
