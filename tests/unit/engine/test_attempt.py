"""The walk of one mail from its claim to its settlement."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from rq_ses import Message
from rq_ses.server.encoding import encode_job
from rq_ses.suppression import Suppressed
from rq_ses_worker.engine.attempt import Attempt, Attempts, Back, Finished, judge, settlement, unsent
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement
from rq_ses_worker.lifecycle.retry import Again, Failed, History, RetryPolicy, lost_worker
from rq_ses_worker.lifecycle.task import Task
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.mails.mail import mail

LEASE = Lease(0, "job", "aaaa000000001")
LIMITED = RateLimited(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
BUSY = Transient(503, "ServiceUnavailable", "Busy.")
REJECTED = Terminal(400, "MessageTooOdd", "No.")
PAUSED = Terminal(400, "SendingPausedException", "The account is paused.")


@dataclass
class World:
    """A worker of one thread, and SES, which answers as it is told."""

    answer: Outcome | Exception = field(default_factory=lambda: Sent(200, message_id="m-1"))
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    asked: int = 0
    tagged: str = ""
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shared = Shared(Leases(30.0))
        self.shared.leases.add(LEASE, time.monotonic())
        self.underway = Underway(1)
        self.attempts = Attempts(self, self.policy, self.shared, self.underway)

    def send(self, message: Message, job_id: str = "") -> Outcome:
        self.asked += 1
        self.tagged = job_id
        self.sent.append(message)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def claim(meta: dict[str, Any] | None = None, *, probe: bool = False, **options: Any) -> Claim:
    data = encode_job(mail().to_payload(), options)
    return Claim(LEASE, data, json.dumps(meta or {}).encode(), fresh=not meta, hooked=False, probe=probe)


def told(settled: Settlement) -> str:
    """Return the line for the failed registry, without its hint."""
    return str(settled.fields["exc"].partition("\n")[0])


def test_a_mail_is_sent_with_its_jobs_id() -> None:
    world = World()
    world.attempts.make(claim())
    assert world.tagged == LEASE.job_id


def test_a_mail_that_ses_takes_is_finished_with_its_message_id() -> None:
    world = World()
    settled = world.attempts.make(claim())
    assert (settled.action, settled.meta, settled.outcome) == ("sent", {"attempts": 1}, world.answer)
    assert list(settled.to) == list(mail().to)
    assert settled.seconds >= 0
    assert settled.ended_clock > 0


@pytest.mark.parametrize(("answer", "delay"), [(LIMITED, 5.0), (BUSY, 1.0)])
def test_a_mail_that_ses_does_not_take_now_is_tried_again(answer: Outcome, delay: float) -> None:
    settled = World(answer).attempts.make(claim({"attempts": 2}))
    assert (settled.action, settled.fields, settled.meta["attempts"]) == ("retry", {"delay": delay}, 3)


def test_a_mail_that_ses_refuses_fails_with_a_line() -> None:
    settled = World(REJECTED).attempts.make(claim())
    assert (settled.action, told(settled)) == ("failed", "MessageTooOdd: No. (HTTP 400)")
    assert settled.outcome is REJECTED


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (claim()._replace(data=b"?"), "JobRefused: its data is not a JSON call"),
        (claim()._replace(hooked=True), "JobRefused: callbacks and webhooks are never executed"),
        (claim(expires=1.0), "Expired: the mail expired before it could be sent"),
        (
            claim({"ambiguous": 3}),
            "outcome unknown: OutcomeUnknown: not sent: SES may have accepted it 3",
        ),
    ],
    ids=["unreadable", "hooked", "expired", "doubt used up"],
)
def test_what_must_not_be_sent_fails_and_is_no_attempt(given: Claim, line: str) -> None:
    world = World()
    settled = world.attempts.make(given)
    assert settled.action == "failed"
    assert told(settled).startswith(line)
    assert (world.asked, settled.meta["attempts"], settled.outcome) == (0, 0, None)


SUPPRESSED = {"ann@example.com": Suppressed("ann@example.com", "bounce", datetime(2026, 11, 29, tzinfo=UTC))}


def suppressed(meta: dict[str, Any] | None = None) -> Claim:
    """Return the claim of a mail to two, of which one is suppressed."""
    two = mail("Ann <ann@example.com>", cc=["ben@example.com"])
    return claim(meta)._replace(task=Task(two), suppressed=SUPPRESSED)


def test_a_mail_to_a_suppressed_address_fails_and_is_no_attempt() -> None:
    world = World()
    settled = world.attempts.make(suppressed({"ambiguous": 1}))
    assert settled.action == "failed"
    line = "Suppressed: on the suppression list: ann@example.com (bounce, 2026-11-29)"
    assert told(settled) == f"{line}; SES may have accepted it once"
    assert settled.fields["exc"].count("Hint: It was not sent") == 1
    assert (world.asked, settled.meta["attempts"], settled.outcome) == (0, 0, None)
    assert settled.meta["last_outcome"]["code"] == "Suppressed"


def test_a_mail_without_its_suppressed_recipients_says_so_in_its_result_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(policy=RetryPolicy(suppressed="drop"))
    settled = world.attempts.make(suppressed())
    assert [one.recipients for one in world.sent] == [("ben@example.com",)]
    result = json.loads(b64decode(settled.fields["result"]))
    assert result == {"message_id": "m-1", "suppressed": ["ann@example.com"]}
    assert caplog.messages == ["job job: sent, but not to ann@example.com: on the suppression list"]


def test_what_was_read_for_the_list_is_not_read_again() -> None:
    world = World()
    assert world.attempts.make(suppressed()._replace(data=b"?", suppressed={})).action == "sent"


def lease_ran_out(world: World) -> None:
    world.shared.leases.drop(LEASE)


def account_is_held(world: World) -> None:
    world.shared.brake.ended(PAUSED)


def failures_narrow(world: World) -> None:
    world.underway = Underway(32)
    for _ in range(20):
        world.shared.brake.ended(BUSY)
        world.underway.submitted()
    world.attempts = Attempts(world, world.policy, world.shared, world.underway)


@pytest.mark.parametrize("happens", [lease_ran_out, account_is_held, failures_narrow])
def test_a_mail_that_had_better_not_be_begun_goes_back_as_it_was(happens: Callable[[World], None]) -> None:
    world = World()
    happens(world)
    settled = world.attempts.make(claim())
    assert settled == unsent(LEASE)._replace(ended=settled.ended)
    assert (settled.action, settled.meta, settled.fields) == ("back", {}, {"fresh": 1})
    assert world.asked == 0


@pytest.mark.parametrize("happens", [account_is_held, failures_narrow])
def test_a_probe_is_sent_whatever_holds_the_others(happens: Callable[[World], None]) -> None:
    world = World()
    happens(world)
    settled = world.attempts.make(claim(probe=True))
    assert (settled.action, settled.probe, world.asked) == ("sent", True, 1)


def test_every_end_of_a_probe_says_that_it_was_one() -> None:
    world = World(BUSY)
    assert world.attempts.make(claim(probe=True)).probe
    assert world.attempts.break_off(claim(probe=True), KeyError()).probe
    lease_ran_out(world)
    assert world.attempts.make(claim(probe=True)).probe


def test_a_client_that_raises_ends_its_mail_in_doubt_and_keeps_its_history() -> None:
    settled = World(ValueError("?")).attempts.make(claim({"attempts": 2, "mine": 1}))
    assert told(settled).startswith("InternalError: ValueError while sending (see the worker's log)")
    assert (settled.meta["attempts"], settled.meta["ambiguous"], settled.meta["mine"]) == (3, 1, 1)


def test_an_attempt_that_broke_off_counts_and_tells_nothing_of_the_account() -> None:
    settled = World().attempts.break_off(claim({"attempts": 2}), MemoryError())
    assert told(settled).startswith("InternalError: MemoryError while sending")
    assert (settled.meta["attempts"], settled.meta["ambiguous"], settled.outcome) == (3, 1, None)
    assert (settled.seconds, settled.ended_clock) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [
        (Sent(200, message_id="m"), Finished({"message_id": "m"})),
        (Sent(200), Finished({"message_id": None})),
        (BUSY, Again(1.0)),
        (REJECTED, Failed("MessageTooOdd: No. (HTTP 400)")),
    ],
)
def test_an_outcome_is_judged(outcome: Outcome, decision: object) -> None:
    attempt = Attempt(History(), RetryPolicy())
    assert judge(attempt, attempt.ended(outcome, 1000.0)) == decision


def test_a_lost_workers_mail_goes_back_counted() -> None:
    attempt = Attempt(History(attempts=1, other={"mine": 1}), RetryPolicy())
    ending = attempt.lost(lost_worker("w"), 1000.0)
    assert isinstance(judge(attempt, ending), Again)
    settled = settlement(LEASE, attempt, ending, Back())
    assert (settled.action, settled.fields, settled.outcome) == ("back", {}, None)
    assert (settled.meta["attempts"], settled.meta["ambiguous"], settled.meta["mine"]) == (2, 1, 1)
