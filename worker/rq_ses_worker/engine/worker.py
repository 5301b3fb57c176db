"""The concurrent worker: one dispatcher that claims, threads that send, one thread that settles.

It is a worker of RQ's: registered, shown by `rq info` and rq-dashboard, obeying `rq suspend`, RQ's commands
and signals. RQ's own way of running jobs (fetch, import, perform, several round trips) is replaced by the
transitions of rq_ses_worker.lifecycle.transitions; it executes nothing but the sending of a mail.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from types import FrameType
from typing import Any, Final, cast

from redis import Redis
from redis import exceptions as redis_errors
from redis.exceptions import RedisError, ResponseError
from rq import worker_registration
from rq.utils import now, utcformat
from rq.worker import BaseWorker, WorkerStatus

from rq_ses import contract
from rq_ses.text.plaintext import one_line
from rq_ses_worker.account.brake import Brake
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.engine.commands import obey
from rq_ses_worker.engine.dispatcher import Burst, Dispatcher, several
from rq_ses_worker.engine.quota import Oracle, Quota
from rq_ses_worker.engine.senders import Client, Senders
from rq_ses_worker.engine.settler import Settler
from rq_ses_worker.engine.sweeper import Sweeper
from rq_ses_worker.engine.threads.outage import Outage, out_of_memory, passes
from rq_ses_worker.engine.threads.parts import PartDied
from rq_ses_worker.engine.threads.shift import Shift
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.tally import Tally
from rq_ses_worker.server.connection import SOCKET_TIMEOUT
from rq_ses_worker.server.denial import Denied, denial, raise_if_denied
from rq_ses_worker.server.descriptors import exhausted
from rq_ses_worker.ses.account import Account

log = logging.getLogger(__name__)

SHUTDOWN_SETTLE: Final = 20.0
"""Seconds for which a stopping worker keeps trying to settle while Redis is away."""


class MailWorker(BaseWorker):  # type: ignore[misc]
    """Sends the mails of some queues, many at once.

    Args:
        queues: names, the most urgent first.
        connection: from `connect`.
        client: sends a message; called by many threads at once.
        policy: what becomes of a mail that wasn't sent.
        concurrency: threads that send.
        lease: seconds after which others take over what this worker held, should it die.
        name: RQ's name of the worker; by default made of host, process and chance.
        check: called with the connection when Redis is first reached; what it raises ends the worker.
        gate: of the SES account the client sends through; by default the account named "default" in the
            client's region.
        tally: where this process's numbers stand, for whoever shows them; None counts nothing.
    """

    name: str

    def __init__(
        self,
        queues: Sequence[str],
        *,
        connection: Redis,
        client: Client,
        policy: RetryPolicy,
        concurrency: int = 16,
        lease: float = 30.0,
        name: str | None = None,
        check: Callable[[Redis], None] | None = None,
        gate: GatePolicy | None = None,
        tally: Tally | None = None,
    ) -> None:
        token = secrets.token_hex(8)
        super().__init__(
            list(queues),
            name=name or f"{socket.gethostname()}.{os.getpid()}.{token[:6]}",
            connection=connection,
            serializer=contract.SERIALIZER,
            worker_ttl=60,
            prepare_for_work=False,  # it would ask Redis, which may be away
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self._check = check
        self._client = client
        self._tally = tally
        asks = hasattr(client, "get_account")
        gate = gate or GatePolicy(region=getattr(client, "region", "unknown"))
        self._traits = {"rq_ses_threads": concurrency, "rq_ses_account": f"{gate.account}:{gate.region}"}
        self._lifecycle = Lifecycle(connection, queues, self.name, token, lease, gate=gate, asks=asks)
        self._shift = Shift(Leases(lease), self._lifecycle.clock, Brake(gate.streak))
        self._leases, self._wake = self._shift.leases, self._shift.wake
        self._quota = (
            Quota(cast(Oracle, client), self._learn, told=self._wake.set, parts=self._shift.parts)
            if asks
            else None
        )
        self._closing = threading.Event()
        self._sweeper = Sweeper(connection, queues, self._closing, self._shift.parts, policy)
        self._settler = Settler(
            self._lifecycle, self._shift, tally=tally, queues=list(queues), several=several(concurrency)
        )
        self._senders = Senders(concurrency, client, policy, self._shift, settle=self._settler.put)
        self._dispatcher = Dispatcher(
            self._lifecycle,
            self._shift,
            self._senders,
            self._settler,
            policy,
            ask=self._quota.ask if self._quota else lambda: None,
            tally=tally,
        )

    def _learn(self, account: Account | None, ask_again: float) -> None:
        self._lifecycle.learn(account, ask_again=ask_again)

    # What RQ's worker calls, or lets others call

    @property
    def connection_timeout(self) -> int:
        """RQ would raise the socket time-out to minutes, for its blocking pops; there are none here."""
        return int(SOCKET_TIMEOUT)

    def register_birth(self) -> None:
        """Register, unless an earlier try got as far as that; the heartbeat mends what is missing."""
        if self.birth_date is None:
            self._find_free_name()
            self._set_ip_address(self.connection)
            super().register_birth()

    def serialize(self) -> dict[str, Any]:
        """Return what RQ registers of a worker, and what `rq-ses status` shows beyond that."""
        return {**super().serialize(), **self._traits}

    def _find_free_name(self) -> None:
        # RQ would refuse a name whose last bearer was killed for as long as its registration lasts: minutes.
        taken = self.connection.exists(self.key) and not self.connection.hexists(self.key, "death")
        if taken:
            free = f"{self.name}.{secrets.token_hex(3)}"
            events.WORKER_RENAMED.log(log, taken=self.name, worker=free)
            self.name = free
            self._lifecycle.rename(free)

    def handle_payload(self, message: Any) -> None:
        """Obey one of RQ's commands, or say why that can't be done."""
        obey(message, self._leases)

    def subscribe(self) -> None:
        """Listen for RQ's commands, and for queues that were empty and no longer are."""
        self.pubsub = self.connection.pubsub()
        wake = {contract.wake_channel(queue): lambda _: self._wake.set() for queue in self.queue_names()}
        self.pubsub.subscribe(**{self.pubsub_channel_name: self.handle_payload}, **wake)
        self.pubsub_thread = self.pubsub.run_in_thread(
            sleep_time=0.5, daemon=True, exception_handler=self._keep_listening
        )

    def unsubscribe(self) -> None:
        """Stop listening; the thread closes its connection itself, which nobody else may touch before."""
        if self.pubsub_thread:
            self.pubsub_thread.stop()
            self.pubsub_thread.join(timeout=1)

    def _make_room(self) -> None:
        """Give descriptors of idle connections to SES to Redis, if none is left for it."""
        close_idle = getattr(self._client, "close_idle", None)
        if close_idle and exhausted():
            close_idle()

    def _keep_listening(self, exc: Exception, *_: object) -> None:
        self._make_room()
        if denied := denial(exc):
            self._shift.parts.end(denied)
        elif not isinstance(exc, redis_errors.ConnectionError | redis_errors.TimeoutError):
            events.WORKER_DEAF.log(log, error=type(exc).__name__)
        self._closing.wait(1.0)

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Stop claiming, and end once what is being sent is settled. A second signal ends at once."""
        # A handler runs between any two bytecodes of the main thread, also inside an Event whose lock that
        # holds: it may only set flags. The dispatcher looks at them at least every POLL seconds.
        self._shutdown_requested_date = now()
        self._stop_requested = True
        self._dispatcher.stop()
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)

    def work(self, burst: bool = False, *, max_wait: float | None = None) -> bool:
        """Send until told to stop, or in `burst` until nothing is queued, being sent, or scheduled.

        With `max_wait`, a burst waits no longer than these seconds for what can't be sent yet.

        Returns whether any job was handled.

        Raises:
            Denied: Redis refuses this user what the worker needs.
            PartDied: a thread of the worker has died; what could be settled is, the rest is left to reclaim.
            SystemExit: a second signal asked to end at once; what was being sent is left to reclaim.
        """
        self._install_signal_handlers()
        if self._tally:
            self._tally.enter()
        if not self._begin():
            if self._tally:
                self._tally.leave()
            return False
        heart = self._shift.parts.thread("heartbeat", self._beat)
        self._settler.start()
        self._senders.start()
        if self._quota:
            self._quota.start()
        heart.start()
        self._sweeper.start()
        if self._tally:
            self._tally.turn("working")
        try:
            try:
                self._dispatcher.run(burst=Burst(max_wait) if burst else None)
            except (Denied, PartDied):
                self._finish()
                raise
            except (SystemExit, KeyboardInterrupt):
                raise  # at once
            except BaseException as exc:
                events.PART_DIED.log(log, trace=True, part="dispatcher")
                self._finish()
                raise PartDied("dispatcher") from exc
            self._finish()
            # One that has died at the end has left something undone, too.
            self._shift.parts.check()
        finally:
            self._closing.set()
            if self._quota:
                self._quota.stop()
            self._leave()
            if self._tally:
                self._tally.leave()
        return self._dispatcher.handled > 0

    def _begin(self) -> bool:
        outage = Outage(log, "the worker starts when it is back", self._shift.trouble)
        while not self._stop_requested:
            if self._tally:
                self._tally.pulse()
            try:
                if self._check:
                    self._check(self.connection)
                self._register()
            except RedisError as exc:
                raise_if_denied(exc)
                outage.failed(exc)
                self._wake.wait(0.25)
                continue
            outage.over()
            self._tell_start()
            return True
        return False

    def _register(self) -> None:
        """Appear among RQ's workers, and listen for commands.

        The former is for show, and the heartbeat mends it: a server without memory must still be drained, so
        its refusal doesn't keep the worker from starting. One that takes no writes at all is waited for.
        """
        try:
            self.register_birth()
            self.set_state(WorkerStatus.STARTED)
        except ResponseError as exc:
            raise_if_denied(exc)
            if passes(exc) and not out_of_memory(exc):
                raise
            events.WORKER_UNSEEN.log(log, error=one_line(str(exc), 300))
        if not self.pubsub_thread:
            self.subscribe()

    def _tell_start(self) -> None:
        events.WORKER_STARTED.log(
            log,
            queues=", ".join(self.queue_names()),
            threads=self._senders.count,
            worker=self.name,
            account=self._traits["rq_ses_account"],
            version=version("rq-ses"),
        )

    # The end

    def _finish(self) -> None:
        """Let what is being sent end, and settle it."""
        if self._tally:
            self._tally.turn("stopping")
        if self._stop_requested:
            events.WORKER_STOPPING.log(log, mails=self._senders.busy)
        self._senders.stop()
        self._senders.join()
        if self._settler.stop(SHUTDOWN_SETTLE):
            self._dispatcher.give_back()
        self._settler.log_unsettled()
        for lease in self._leases.held():
            if lease not in self._settler:
                events.MAIL_LEFT.log(log, job_id=lease.job_id)

    def _leave(self) -> None:
        try:
            self.teardown()
        except RedisError as exc:
            events.WORKER_LEFT.log(log, error=type(exc).__name__)
        except Exception as exc:  # noqa: BLE001 - all mails are settled: how it leaves changes nothing for them
            events.WORKER_LEAVING_FAILED.log(log, error=type(exc).__name__, trace=True)

    # The heartbeat, in a thread of its own

    def _beat(self) -> None:
        outage = Outage(log, "leases can't be renewed meanwhile", self._shift.trouble)
        # What is for show has a word of its own: a server without memory refuses it, and renews leases.
        unseen = Outage(log, "RQ's tools may not show this worker meanwhile")
        period = min(10.0, self._leases.length / 3)
        pause = 0.0
        while not self._closing.wait(pause):
            if not self._shift.parts.whole:
                return  # what it held shall move to others
            if self._tally and self._senders.running and self._settler.running:
                self._tally.beat()
            done = self._tried(self._renew, outage) and self._tried(self._show, unseen)
            pause = period if done else min(period, 0.25)

    def _tried(self, step: Callable[[], None], outage: Outage) -> bool:
        """Tell whether Redis did a step of the heartbeat."""
        try:
            step()
        except RedisError as exc:
            raise_if_denied(exc)
            self._make_room()
            outage.failed(exc)
            if not out_of_memory(exc):
                self._shift.trouble.note(exc)
            return False
        except Exception:  # noqa: BLE001 - leases must be renewed whatever else stands in Redis
            events.WORKER_HEARTBEAT_FAILED.log(log, trace=True)
        else:
            outage.over()
        return True

    def _renew(self) -> None:
        clock = time.monotonic()
        if held := self._leases.held():
            self._leases.extend(self._lifecycle.renew(held), clock)

    def _show(self) -> None:
        state = WorkerStatus.BUSY if self._leases.held() else WorkerStatus.IDLE
        if self._dispatcher.suspended:
            state = WorkerStatus.SUSPENDED
        with self.connection.pipeline() as pipeline:
            self.heartbeat(pipeline=pipeline)
            self.set_state(state, pipeline=pipeline)
            if self._shutdown_requested_date:
                pipeline.hset(self.key, "shutdown_requested_date", utcformat(self._shutdown_requested_date))
            pipeline.hexists(self.key, "birth")
            known = pipeline.execute()[-1]
            if not known:  # the server has lost it: expired while we were paused, or flushed
                pipeline.hset(self.key, mapping=self.serialize())
                worker_registration.register(self, pipeline)
                pipeline.execute()
        if self.should_run_maintenance_tasks:
            self.last_cleaned_at = now()
            self._clean()

    def _clean(self) -> None:
        """Drop names of workers that are gone; the queues' registries are swept by the server's clock."""
        for queue in self.queues:
            if queue.acquire_maintenance_lock():
                try:
                    worker_registration.clean_worker_registry(queue)
                finally:
                    queue.release_maintenance_lock()
