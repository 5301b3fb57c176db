"""However attempts end, workers die and people requeue: what SES may have accepted stays within one bound."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from rq_ses import Message, Outbox, contract
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses_worker import job as job_module
from rq_ses_worker.audit.audit import Audit
from rq_ses_worker.engine.attempt import Attempts, unsent
from rq_ses_worker.engine.claiming.reclaim import Reclaim
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.mails.accounting import PLACES
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail, status
from support.mails.transitions import GATE

BOUND = 3
OUTCOMES: dict[str, Outcome | Exception] = {
    "sent": Sent(200, message_id="m"),
    "silent": Transient(None, "ReadTimeout", "No answer.", ambiguous=True),
    "500": Transient(500, "InternalFailure", "", ambiguous=True),
    "503": Transient(503, "ServiceUnavailable", ""),
    "429": RateLimited(429, "TooManyRequestsException", ""),
    "paused": Terminal(400, "SendingPausedException", ""),
    "rejected": Terminal(400, "MessageRejected", ""),
    "defect": RuntimeError("a defect of ours, nobody knows when"),
}
ENDINGS = ("told", "lost", "late", "stranded")
"""What becomes of the answer: settled; its worker dies; it comes after the reclaim; the claim is lost."""


class Client:
    """Answers as it is told, and counts what SES may have accepted of it."""

    def __init__(self) -> None:
        self.answer = "sent"
        self.copies = 0

    def send(self, _: Message, _job_id: str = "") -> Outcome:
        outcome = OUTCOMES[self.answer]
        if isinstance(outcome, Exception):
            self.copies += 1
            raise outcome
        self.copies += isinstance(outcome, Sent) or outcome.ambiguous
        return outcome


class Collector:
    """A settler that keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[Settlement] = []

    def put(self, settlement: Settlement) -> None:
        self.given.append(settlement)

    def __contains__(self, lease: object) -> bool:
        return any(settlement.lease == lease for settlement in self.given)


class World:
    """One mail, a worker that sends it, another that reclaims, and people."""

    def __init__(self, redis: Redis, policy: RetryPolicy) -> None:
        redis.flushdb()
        self.redis, self.policy, self.client, self.settler = redis, policy, Client(), Collector()
        self.job_id = Outbox(connection=redis).send(mail()).job_id
        self.lifecycle = Lifecycle(redis, ["mail"], "ours", "aaaaaaaa", 30.0)
        self.shared = Shared(Leases(30.0), self.lifecycle.clock)
        self.attempts = Attempts(self.client, policy, self.shared, Underway(1))
        self.other = Lifecycle(redis, ["mail"], "other", "bbbbbbbb", 30.0)
        self.reclaim_of_another = Reclaim(
            self.other,
            Shared(Leases(30.0), self.other.clock),
            self.settler,  # type: ignore[arg-type]
            policy,
        )
        self.consents = 0

    def step(self, name: str, answer: str, ending: str) -> None:
        {
            "attempt": lambda: self.attempt(answer, ending, probe=False),
            "probe": lambda: self.attempt(answer, ending, probe=True),
            "give back": self.give_back,
            "requeue": self.requeue,
            "resend": lambda: self.resend(include_unknown=False),
            "resend unknown": lambda: self.resend(include_unknown=True),
        }[name]()

    def claim(self) -> Claim | None:
        self.redis.zadd(KEYS.registry("scheduled", "mail"), {self.job_id: 1.0}, xx=True)
        self.redis.delete(GATE)  # no breaker shall cut a script short
        self.lifecycle.promote()
        claims, _ = self.lifecycle.claim(1)
        for claim in claims:
            self.shared.leases.add(claim.lease, time.monotonic())
        return claims[0] if claims else None

    def attempt(self, answer: str, ending: str, *, probe: bool) -> None:
        claim = self.claim()
        if not claim:
            return
        self.client.answer = answer
        settled = self.attempts.make(claim._replace(probe=probe))._replace(probe=probe)
        if ending == "stranded":
            self.strand()
        elif ending != "told":
            self.reclaim()
        if ending in ("told", "late"):
            self.lifecycle.settle([settled], clock=time.monotonic())

    def reclaim(self) -> None:
        key = KEYS.leases("mail")
        self.redis.zadd(key, dict.fromkeys(self.redis.zrange(key, 0, -1), 1.0), xx=True)
        self.reclaim_of_another.run(answered=time.monotonic())
        self.other.settle(self.settler.given, clock=time.monotonic())
        self.settler.given.clear()

    def strand(self) -> None:
        """A power cut takes the last second of the append-only file; an audit finds the mail."""
        for key in (KEYS.leases("mail"), KEYS.registry("wip", "mail")):
            self.redis.delete(key)
        for _ in Audit(self.redis, "mail", self.policy, wait=0.0).run(repair=True):
            pass

    def give_back(self) -> None:
        if claim := self.claim():
            self.lifecycle.settle([unsent(claim.lease)], clock=time.monotonic())

    def requeue(self) -> None:
        if status(self.redis, self.job_id) == "failed":
            fetch(self.redis, self.job_id).requeue()

    def resend(self, *, include_unknown: bool) -> None:
        letters = DeadLetters(self.redis)
        in_doubt = [letter for letter in letters.find(Filter()) if letter.unknown]
        done = letters.resend(Filter(), include_unknown=include_unknown)
        self.consents += done.resent * bool(in_doubt)

    def check(self) -> None:
        assert self.client.copies <= BOUND + self.consents, "more copies than the bound"
        state = status(self.redis, self.job_id)
        found = [
            place
            for place, key in PLACES.items()
            if (
                self.redis.lpos(key("mail"), self.job_id) is not None
                if place == "queued"
                else self.redis.zscore(key("mail"), self.job_id) is not None
            )
        ]
        assert found == [state], f"{state}, and stands in {found}"


steps = st.tuples(
    st.sampled_from(["attempt"] * 5 + ["probe"] * 2 + ["give back", "requeue", "resend", "resend unknown"]),
    st.sampled_from(sorted(OUTCOMES)),
    st.sampled_from(ENDINGS),
)


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(steps, min_size=4, max_size=16))
@example(script=[("attempt", "silent", "told"), ("requeue", "", "")] * 8)
@example(script=[("probe", "silent", "told")] * 8)
@example(script=[("attempt", "sent", "lost"), ("requeue", "", "")] * 8)
@example(script=[("attempt", "sent", "stranded"), ("requeue", "", "")] * 8)
@example(script=[("attempt", "silent", "told"), ("resend unknown", "", "")] * 8)
@example(script=[("attempt", "defect", "told"), ("requeue", "", "")] * 8)
def test_copies_stay_within_the_bound_and_no_mail_is_lost(
    redis: Redis, on_unknown: contract.OnUnknown, script: list[tuple[str, str, str]]
) -> None:
    world = World(redis, RetryPolicy(on_unknown=on_unknown, max_doubtful=BOUND, transient_delay=0.01))
    for name, answer, ending in script:
        world.step(name, answer, ending)
        world.check()


@pytest.fixture
def world(redis: Redis) -> World:
    return World(redis, RetryPolicy(max_doubtful=BOUND))


def test_a_mail_that_is_never_answered_is_held_after_three_deliveries(world: World) -> None:
    for _ in range(5):
        world.attempt("silent", "told", probe=False)
    assert world.client.copies == BOUND
    job = fetch(world.redis, world.job_id)
    assert job.get_status() == "failed"
    line = job.latest_result().exc_string.splitlines()[0]
    assert line.startswith("outcome unknown: ReadTimeout: ")
    assert line.endswith("; SES may have accepted it 3 times")
    assert job.get_meta()["ambiguous"] == BOUND


def test_a_requeue_does_not_send_what_has_used_up_its_doubt_and_names_the_way(world: World) -> None:
    for _ in range(3):
        world.attempt("silent", "told", probe=False)
    world.requeue()
    world.attempt("sent", "told", probe=False)
    assert world.client.copies == BOUND
    [letter] = DeadLetters(world.redis).find(Filter())
    assert letter.code == "OutcomeUnknown"
    assert letter.unknown
    assert "SES may have accepted it 3 times already; `rq-ses resend --include-unknown`" in letter.error
    world.resend(include_unknown=False)
    assert status(world.redis, world.job_id) == "failed"
    world.resend(include_unknown=True)
    world.attempt("sent", "told", probe=False)
    assert status(world.redis, world.job_id) == "finished"
    assert world.client.copies == BOUND + 1


def test_refusals_do_not_use_up_doubt(world: World) -> None:
    for answer in ["503", "429", "503", "silent", "429", "503", "silent", "503"]:
        world.attempt(answer, "told", probe=False)
    assert status(world.redis, world.job_id) == "scheduled"
    world.attempt("sent", "told", probe=False)
    assert status(world.redis, world.job_id) == "finished"
    assert fetch(world.redis, world.job_id).get_meta() == {"attempts": 9, "ambiguous": 2}


# Under a stock `rq worker`


@pytest.fixture
def stock(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Let RQ's own worker make one attempt that SES answers so; returns the status."""
    client = Client()
    monkeypatch.setattr(job_module, "_sender", lambda: (client, RetryPolicy(max_doubtful=BOUND), False))
    job_id = Outbox(connection=redis).send(mail()).job_id

    def attempt(answer: str) -> str:
        client.answer = answer
        if status(redis, job_id) == "scheduled":
            redis.zrem(KEYS.registry("scheduled", "mail"), job_id)
            Queue("mail", connection=redis, serializer=JSONSerializer)._enqueue_job(fetch(redis, job_id))
        worker = SimpleWorker(["mail"], connection=redis, serializer=JSONSerializer)
        worker.work(burst=True, max_jobs=1)
        return status(redis, job_id)

    attempt.client = client  # type: ignore[attr-defined]
    attempt.job_id = job_id  # type: ignore[attr-defined]
    return attempt


def test_a_stock_worker_keeps_to_the_same_bound(redis: Redis, stock: Callable[[str], str]) -> None:
    job_id = stock.job_id  # type: ignore[attr-defined]
    assert [stock("silent"), stock("503"), stock("silent"), stock("silent")] == [
        "scheduled", "scheduled", "scheduled", "failed",
    ]  # fmt: skip
    job = fetch(redis, job_id)
    assert "outcome unknown: ReadTimeout" in job.latest_result().exc_string
    job.requeue()
    assert stock("sent") == "failed"
    assert "OutcomeUnknown: not sent" in fetch(redis, job_id).latest_result().exc_string
    assert stock.client.copies == BOUND  # type: ignore[attr-defined]


def test_a_work_horse_that_dies_while_sending_leaves_its_doubt(
    redis: Redis, stock: Callable[[str], str]
) -> None:
    job_id, client = stock.job_id, stock.client  # type: ignore[attr-defined]
    for _ in range(4):
        assert stock("defect") == "failed"  # as a horse's death, it leaves no word of ours
        fetch(redis, job_id).requeue()
    assert client.copies == BOUND
    assert fetch(redis, job_id).get_meta()["ambiguous"] == BOUND


def test_a_certain_answer_takes_the_doubt_back(redis: Redis, stock: Callable[[str], str]) -> None:
    assert stock("503") == "scheduled"
    assert fetch(redis, stock.job_id).get_meta()["ambiguous"] == 0  # type: ignore[attr-defined]
