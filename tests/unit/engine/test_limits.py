"""The thread that asks SES for the account's limits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses_worker.engine.limits import ASK_AGAIN, ASK_EVERY, LimitsReader
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.ses.account import Account, AccountRefused
from rq_ses_worker.ses.outcome import Terminal, Transient
from support.waiting import PATIENCE

ACCOUNT = Account(14.0, 50_000.0, 3.0, True, True, "HEALTHY")
DENIED = AccountRefused(Terminal(403, "AccessDeniedException", "not authorized to perform: ses:GetAccount"))
DOWN = AccountRefused(Transient(503, "ServiceUnavailable", "Busy."))


class Answers:
    """Tells one thing after the other; an exception is raised."""

    def __init__(self, answers: Sequence[Account | Exception], asked: threading.Semaphore) -> None:
        self._answers = iter(answers)
        self._asked = asked

    def get_account(self) -> Account:
        self._asked.release()
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Memory:
    """A lifecycle that keeps what it learns; the fourth time Redis is away."""

    def __init__(self) -> None:
        self.learnt: list[tuple[Account | None, float]] = []

    def learn(self, account: Account | None, *, ask_again: float) -> None:
        self.learnt.append((account, ask_again))
        if len(self.learnt) == 4:
            raise ConnectionLost("Redis is away")


def test_answers_are_learnt_and_a_denial_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    memory, asked = Memory(), threading.Semaphore(0)
    answers = Answers([DENIED, DENIED, DOWN, ACCOUNT, ACCOUNT, ACCOUNT], asked)
    limits = LimitsReader(answers, memory, Shared(Leases(30.0)))  # type: ignore[arg-type]
    limits.start()
    with caplog.at_level(logging.INFO):
        for _ in range(6):
            limits.ask()
            assert asked.acquire(timeout=PATIENCE)
        limits.stop()
        limits._thread.join(PATIENCE)
    assert not limits._thread.is_alive()
    told = [(None, ASK_EVERY), (None, ASK_EVERY), (None, ASK_AGAIN), *[(ACCOUNT, ASK_EVERY)] * 3]
    assert memory.learnt == told
    assert caplog.text.count("allow the action ses:GetAccount") == 1
    assert caplog.text.count("SES allows 14 recipients a second, 50,000 in 24 hours") == 1
    assert caplog.text.count("limits can't be kept: ConnectionError") == 1
