"""The worker as RQ and its tools know it: among the registered ones, with a heartbeat, and given commands."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis import Redis
from redis import exceptions as redis_errors
from redis.exceptions import RedisError, ResponseError
from rq import worker_registration
from rq.utils import now, utcformat
from rq.worker import BaseWorker, WorkerStatus

from rq_ses import contract
from rq_ses.keys import keys_of
from rq_ses.text.plaintext import one_line
from rq_ses_worker.engine.rqcommands import obey
from rq_ses_worker.engine.threads.outage import out_of_memory, passes
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.logging import events
from rq_ses_worker.server.connection import SOCKET_TIMEOUT
from rq_ses_worker.server.denial import denial, raise_if_denied
from rq_ses_worker.server.descriptors import exhausted

log = logging.getLogger(__name__)


class RegisteredWorker(BaseWorker):  # type: ignore[misc]
    """A worker of RQ's that runs no jobs: what `work` does is left to others.

    Args:
        queues: names, the most urgent first.
        connection: from `connect`.
        name: RQ's name of the worker.
        traits: what it registers beyond what RQ's workers do, for `rq-ses status`.
        shared: commands speak of its leases; woken when a queue is no longer empty.
        close_idle: closes idle connections to others than Redis.
    """

    name: str

    def __init__(
        self,
        queues: Sequence[str],
        connection: Redis,
        name: str,
        traits: Mapping[str, object],
        shared: Shared,
        close_idle: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            list(queues),
            name=name,
            connection=connection,
            serializer=contract.SERIALIZER,
            worker_ttl=60,
            prepare_for_work=False,  # it would ask Redis, which may be away
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self._traits = traits
        self._shared = shared
        self._close_idle = close_idle

    @property
    def connection_timeout(self) -> int:
        """RQ would raise the socket time-out to minutes, for its blocking pops; there are none here."""
        return int(SOCKET_TIMEOUT)

    # Among RQ's workers

    def register(self) -> None:
        """Appear among RQ's workers, and listen for commands; call it again if it fails.

        The former is for show, and the heartbeat mends it: a server without memory must still be drained, so
        its refusal doesn't keep the worker from starting. One that takes no writes at all is waited for.

        Raises:
            Denied: Redis refuses this user what that takes.
            RedisError: the server is away, or takes no writes.
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

    def register_birth(self) -> None:
        """Register, unless an earlier try got as far as that; the heartbeat mends what is missing."""
        if self.birth_date is None:
            self._find_free_name()
            self._set_ip_address(self.connection)
            super().register_birth()

    def _find_free_name(self) -> None:
        # RQ would refuse a name whose last bearer was killed for as long as its registration lasts: minutes.
        taken = self.connection.exists(self.key) and not self.connection.hexists(self.key, "death")
        if taken:
            free = f"{self.name}.{secrets.token_hex(3)}"
            events.WORKER_RENAMED.log(log, taken=self.name, worker=free)
            self.name = free

    def serialize(self) -> dict[str, Any]:
        """Return what RQ registers of a worker, and what `rq-ses status` shows beyond that."""
        return {**super().serialize(), **self._traits}

    def show(self, state: WorkerStatus) -> None:
        """Stay registered, in this state. Raises RedisError."""
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

    def leave(self) -> None:
        """Disappear from among RQ's workers, and stop listening; never raises."""
        try:
            self.teardown()
        except RedisError as exc:
            events.WORKER_LEFT.log(log, error=type(exc).__name__)
        except Exception as exc:  # noqa: BLE001 - all mails are settled: how it leaves changes nothing for them
            events.WORKER_LEAVING_FAILED.log(log, error=type(exc).__name__, trace=True)

    # Given commands

    def subscribe(self) -> None:
        """Listen for RQ's commands, and for queues that were empty and no longer are."""
        self.pubsub = self.connection.pubsub()
        keys = keys_of(self.connection)
        wake = {keys.wake(q): lambda _: self._shared.wake.set() for q in self.queue_names()}
        self.pubsub.subscribe(**{self.pubsub_channel_name: self.handle_payload}, **wake)
        self.pubsub_thread = self.pubsub.run_in_thread(
            sleep_time=0.5, daemon=True, exception_handler=self._keep_listening
        )

    def unsubscribe(self) -> None:
        """Stop listening; the thread closes its connection itself, which nobody else may touch before."""
        if self.pubsub_thread:
            self.pubsub_thread.stop()
            self.pubsub_thread.join(timeout=1)

    def handle_payload(self, message: Any) -> None:
        """Obey one of RQ's commands, or say why that can't be done."""
        obey(message, self._shared.leases)

    def _keep_listening(self, exc: Exception, *_: object) -> None:
        self.spare_descriptors()
        if denied := denial(exc):
            self._shared.threads.end(denied)
        elif not isinstance(exc, redis_errors.ConnectionError | redis_errors.TimeoutError):
            events.WORKER_DEAF.log(log, error=type(exc).__name__)
        self._shared.closing.wait(1.0)

    def spare_descriptors(self) -> None:
        """Give descriptors of idle connections to SES to Redis, if none is left for it."""
        if exhausted():
            self._close_idle()
