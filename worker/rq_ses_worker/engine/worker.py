"""The concurrent worker: one dispatcher that claims, threads that send, one thread that settles.

It is a worker of RQ's: registered, shown by `rq info` and rq-dashboard, obeying `rq suspend`, RQ's commands
and signals. RQ's own way of running jobs (fetch, import, perform, several round trips) is replaced by the
transitions of rq_ses_worker.lifecycle.transitions; it executes nothing but the sending of a mail.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from types import FrameType
from typing import TYPE_CHECKING, Final, cast

from redis import Redis
from redis.exceptions import RedisError

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses_worker.account.brake import Brake
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.engine.attempt import Attempts, Bulks, Client
from rq_ses_worker.engine.claiming.demand import several
from rq_ses_worker.engine.dispatcher import Burst, Dispatcher
from rq_ses_worker.engine.heartbeat import Heartbeat
from rq_ses_worker.engine.limits import AccountClient, LimitsReader
from rq_ses_worker.engine.registration import RegisteredWorker
from rq_ses_worker.engine.senders import Senders
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.engine.threads.outage import Outage
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.vital import ThreadDied
from rq_ses_worker.lifecycle.bulk.dividing import Dividing
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.server.denial import Denied, raise_if_denied

if TYPE_CHECKING:
    from rq_ses.tracing.spans import Tracing
    from rq_ses_worker.hooks.telling import Telling
    from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger(__name__)

SHUTDOWN_SETTLE: Final = 20.0
"""Seconds for which a stopping worker keeps trying to settle while Redis is away."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How mails are sent: by which client, through which account, and what follows a failure."""

    client: Client
    """Called by many threads at once."""
    policy: RetryPolicy
    """What becomes of a mail that wasn't sent."""
    gate: GatePolicy
    """Of the SES account the client sends through."""
    gate_at: Redis | None = None
    """From `connect`: where that gate stands, if the worker's mails stand in a partition of their own."""
    indexed: bool = False
    """Whether it is kept which mail each of SES's MessageIds is."""
    telling: Telling | None = None
    """Tells hooks what became of mails; None: nobody wants to know, and nothing is written for them."""
    tracing: Tracing | None = None
    """Makes a span for each attempt; None: none is made."""

    @property
    def account(self) -> str:
        """The account and its region, as `rq-ses status` and the log show them."""
        return f"{self.gate.account}:{self.gate.region}"


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many mails one worker sends at a time, and for how long they are its own."""

    threads: int = 16
    lease: float = 30.0
    """Seconds after which others take over what it held, should it die."""


class MailWorker(RegisteredWorker):
    """Sends the mails of some queues, many at once.

    Args:
        queues: names, the most urgent first.
        connection: from `connect`.
        sending: by which client, and on what terms.
        capacity: threads, and the length of a lease.
        name: RQ's name of the worker; by default made of host, process and chance.
        check: called with the connection when Redis is first reached; what it raises ends the worker.
        tally: where this process's numbers stand, for whoever shows them; None counts nothing.
    """

    def __init__(
        self,
        queues: Sequence[str],
        connection: Redis,
        sending: Sending,
        capacity: Capacity,
        *,
        name: str | None = None,
        check: Callable[[Redis], None] | None = None,
        tally: Tally | None = None,
    ) -> None:
        name = name or f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(3)}"
        client, policy, gate = sending.client, sending.policy, sending.gate
        asks = hasattr(client, "get_account")
        lifecycle = _lifecycle(queues, connection, sending, capacity.lease, name, asks=asks)
        shared = Shared(Leases(capacity.lease), lifecycle.clock, Brake(gate.streak))
        traits = {contract.THREADS_FIELD: capacity.threads, contract.ACCOUNT_FIELD: sending.account}
        close_idle = getattr(client, "close_idle", lambda: None)
        super().__init__(queues, connection, name, traits, shared, close_idle)
        self._check, self._sending, self._tally = check, sending, tally
        self._lifecycle = lifecycle
        self._limits = LimitsReader(cast(AccountClient, client), lifecycle, shared) if asks else None
        threads = capacity.threads
        self._settler = Settler(
            lifecycle, shared, tally=tally, queues=list(queues), several=several(threads), threads=threads
        )
        bulk = partial(_bulk, connection, client, shared, lifecycle.dividing, gate.bulk_size)
        attempts = partial(_attempts(sending.tracing, list(queues)), bulk=cache(bulk))
        self._senders = Senders(threads, client, policy, shared, settle=self._settler.put, attempts=attempts)
        self._dispatcher = Dispatcher(
            lifecycle,
            shared,
            self._senders,
            self._settler,
            policy,
            ask=self._limits.ask if self._limits else lambda: None,
            tally=tally,
        )
        self._heartbeat = Heartbeat(self, lifecycle, shared, self._senders, self._settler, tally)
        self._sweeper = Sweeper(connection, queues, shared.closing, shared.threads, policy)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop claiming, and end once what is being sent is settled. A second signal ends at once."""
        super().request_stop(signum, frame)
        self._dispatcher.stop()

    def work(self, burst: bool = False, *, max_wait: float | None = None) -> bool:
        """Send until told to stop, or in `burst` until nothing is queued, being sent, or scheduled.

        With `max_wait`, a burst waits no longer than these seconds for what can't be sent yet.

        Returns whether any job was handled.

        Raises:
            Denied: Redis refuses this user what the worker needs.
            ThreadDied: a thread of the worker has died; what could be settled is, reclaim ends the rest.
            SystemExit: a second signal asked to end at once; what was being sent is left to reclaim.
        """
        self._install_signal_handlers()
        if self._tally:
            self._tally.enter()
        if not self._begin():
            if self._tally:
                self._tally.leave()
            return False
        self._start_threads()
        try:
            self._dispatch(Burst(max_wait) if burst else None)
        finally:
            self._shared.closing.set()
            if self._limits:
                self._limits.stop()
            self._sweeper.join()
            if self._sending.telling:
                self._sending.telling.stop()
            if self._sending.tracing:
                self._sending.tracing.flush()
            self.leave()
            if self._tally:
                self._tally.leave()
        return self._dispatcher.handled > 0

    # The beginning

    def _begin(self) -> bool:
        """Register as soon as Redis is there; tell whether that was before the worker was told to stop."""
        outage = Outage(log, "the worker starts when it is back", self._shared.trouble)
        while not self._stop_requested:
            if self._tally:
                self._tally.pulse()
            try:
                if self._check:
                    self._check(self.connection)
                self.register()
            except RedisError as exc:
                raise_if_denied(exc)
                outage.failed(exc)
                self._shared.wake.wait(0.25)
                continue
            outage.over()
            self._lifecycle.rename(self.name)
            self._log_start()
            return True
        return False

    def _log_start(self) -> None:
        events.WORKER_STARTED.log(
            log,
            queues=", ".join(self.queue_names())
            + (f" in {keys_of(self.connection).prefix}" if self._sending.gate_at else ""),
            threads=self._senders.count,
            worker=self.name,
            account=self._sending.account,
            version=version("rq-ses"),
        )

    def _start_threads(self) -> None:
        self._settler.start()
        self._senders.start()
        if self._limits:
            self._limits.start()
        self._heartbeat.start()
        self._sweeper.start()
        if self._sending.telling:
            self._sending.telling.start()
        if self._tally:
            self._tally.turn("working")

    # The end

    def _dispatch(self, burst: Burst | None) -> None:
        """Dispatch in this thread to the end, however it comes."""
        try:
            self._dispatcher.run(burst=burst)
        except (Denied, ThreadDied):
            self._finish()
            raise
        except (SystemExit, KeyboardInterrupt):
            raise  # at once
        except BaseException as exc:
            events.PART_DIED.log(log, trace=True, part="dispatcher")
            self._finish()
            raise ThreadDied("dispatcher") from exc
        self._finish()
        # One that has died at the end has left something undone, too.
        self._shared.threads.check()

    def _finish(self) -> None:
        """Let what is being sent end, and settle it."""
        if self._tally:
            self._tally.turn("stopping")
        if self._stop_requested:
            events.WORKER_STOPPING.log(log, mails=self._senders.busy)
        self._lifecycle.leave()
        self._senders.stop()
        self._senders.join()
        if self._settler.stop(SHUTDOWN_SETTLE):
            self._dispatcher.give_back()
        self._settler.log_unsettled()
        for lease in self._shared.leases.held():
            if lease not in self._settler:
                events.MAIL_LEFT.log(log, job_id=lease.job_id)


def _attempts(tracing: Tracing | None, queues: Sequence[str]) -> Callable[..., Attempts]:
    """Return what makes attempts."""
    if tracing is None:
        return Attempts
    from rq_ses_worker.engine.tracing import TracedAttempts

    return partial(TracedAttempts, tracing, queues)


def _lifecycle(
    queues: Sequence[str], connection: Redis, sending: Sending, lease: float, name: str, *, asks: bool
) -> Lifecycle:
    gate, executions = sending.gate, contract.random_name(6)
    if sending.gate_at is None:
        lifecycle = Lifecycle(connection, queues, name, executions, lease, gate=gate, asks=asks)
    else:
        from rq_ses_worker.account.grants import Grants
        from rq_ses_worker.engine.claiming.partition import PartitionLifecycle

        grants = Grants(sending.gate_at, gate, lease, asks=asks)
        lifecycle = PartitionLifecycle(connection, queues, name, executions, lease, grants)
    if sending.telling:
        lifecycle.settling.tell_outcomes(sending.telling.kept)
    if sending.indexed:
        lifecycle.settling.index_messages()
    return lifecycle


def _bulk(connection: Redis, client: Client, shared: Shared, dividing: Dividing, size: int) -> Bulks:
    """Return what makes attempts of bulk jobs; most workers never load it."""
    from rq_ses_worker.campaign.mailing import Mailing
    from rq_ses_worker.campaign.terms import TermsCache
    from rq_ses_worker.engine.bulk.attempts import BulkAttempts

    return BulkAttempts(client, shared, TermsCache(connection, Mailing.read), dividing, size, connection)
