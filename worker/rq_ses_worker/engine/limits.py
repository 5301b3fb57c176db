"""Asks SES for the account's limits, in a thread of its own, when a claim gives this worker the duty to."""

from __future__ import annotations

import logging
import threading
from typing import Final, Protocol

from redis.exceptions import RedisError

from rq_ses.text.figures import figure
from rq_ses.text.plaintext import one_line
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import raise_if_denied
from rq_ses_worker.ses.account import Account, AccountRefused
from rq_ses_worker.ses.outcome import ACCESS_DENIED, Terminal

log = logging.getLogger(__name__)

ASK_EVERY: Final = 300.0
"""Seconds from an answer to the next question, of all workers; GetAccount allows about one a second."""

ASK_AGAIN: Final = 60.0
"""Seconds after a question without an answer."""


class AccountClient(Protocol):
    """What can tell an account's limits: SesClient, or a stand-in of a test. Raises AccountRefused."""

    def get_account(self) -> Account: ...


class LimitsReader:
    """The thread that asks, and keeps what SES tells in Redis.

    Args:
        client: asked for the account.
        lifecycle: learns the account (None where it can't be had), and the seconds until it is asked again.
        shared: woken when the answer is in Redis.
    """

    def __init__(self, client: AccountClient, lifecycle: Lifecycle, shared: Shared) -> None:
        self._client = client
        self._lifecycle = lifecycle
        self._shared = shared
        self._due = threading.Event()
        self._stopping = False
        self._known: tuple[float, float] | None = None
        self._refused_with = ""
        self._thread = shared.threads.thread("quota", self._work)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self) -> None:
        """Let the thread ask SES; returns at once."""
        self._due.set()

    def stop(self) -> None:
        """Ask no more; a question under way is left to itself."""
        self._stopping = True
        self._due.set()

    def _work(self) -> None:
        while self._due.wait():
            self._due.clear()
            if self._stopping:
                return
            try:
                self._ask_once()
            except RedisError as exc:
                raise_if_denied(exc)
                events.LIMITS_UNKEPT.log(log, error=type(exc).__name__)
            except Exception:  # noqa: BLE001 - mails must go out whatever becomes of this
                events.LIMITS_RAISED.log(log, trace=True)

    def _ask_once(self) -> None:
        try:
            account = self._client.get_account()
        except AccountRefused as exc:
            self._log_refusal(exc)
            denied = isinstance(exc.outcome, Terminal)
            self._lifecycle.learn(None, ask_again=ASK_EVERY if denied else ASK_AGAIN)
        else:
            self._refused_with = ""
            self._log_limits(account)
            self._lifecycle.learn(account, ask_again=ASK_EVERY)
        self._shared.wake.set()

    def _log_refusal(self, exc: AccountRefused) -> None:
        code = str(exc.outcome.code)
        if code == self._refused_with:
            return
        self._refused_with = code
        remedy = (
            "allow the action ses:GetAccount, or set RQ_SES_MAX_SEND_RATE"
            if code in ACCESS_DENIED
            else "it is asked again"
        )
        events.LIMITS_REFUSED.log(log, error=one_line(str(exc), 300), remedy=remedy)

    def _log_limits(self, account: Account) -> None:
        known = (account.max_send_rate, account.max_24_hour_send)
        if known != self._known:
            self._known = known
            daily = "any number" if account.max_24_hour_send < 0 else figure(account.max_24_hour_send)
            events.LIMITS_TOLD.log(log, rate=account.max_send_rate, daily=daily)
