"""The worker as RQ and its tools know it: among the registered ones, with a heartbeat, and given commands."""

from __future__ import annotations

import logging
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any, Final

from redis import Redis
from redis import exceptions as redis_errors
from redis.exceptions import RedisError, ResponseError

from rq_ses.keys import keys_of
from rq_ses.text.plaintext import one_line
from rq_ses_worker.engine.rqcommands import obey
from rq_ses_worker.engine.rqworkers import STARTED, RqEntry
from rq_ses_worker.engine.threads.outage import out_of_memory, passes
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.logging import events
from rq_ses_worker.server.connection import SOCKET_TIMEOUT
from rq_ses_worker.server.denial import denial, raise_if_denied
from rq_ses_worker.server.descriptors import exhausted

log = logging.getLogger(__name__)


CLEANED_EVERY: Final = timedelta(minutes=10)
"""How often names of workers that are gone are dropped: as often as RQ does it."""

_TWICE: Final = timedelta(seconds=1)
"""A signal that comes again within this is the same one: a terminal's, handed on by a supervisor."""


class RegisteredWorker:
    """A worker of RQ's that runs no jobs: what `work` does is left to others.

    Args:
        queues: names, the most urgent first.
        connection: from `connect`.
        name: RQ's name of the worker.
        traits: what it registers beyond what RQ's workers do, for `rq-ses status`.
        shared: commands speak of its leases; woken when a queue is no longer empty.
        close_idle: closes idle connections to others than Redis.
    """

    def __init__(
        self,
        queues: Sequence[str],
        connection: Redis,
        name: str,
        traits: Mapping[str, object],
        shared: Shared,
        close_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.connection = connection
        _bound(connection)
        self._queues = tuple(queues)
        self._entry = RqEntry(connection, name, queues, traits)
        self._shared = shared
        self._close_idle = close_idle
        self._pubsub: Any = None
        self._listening: Any = None
        self._cleaned_at: datetime | None = None
        self._stop_requested = False
        self._stopping_since: datetime | None = None

    @property
    def name(self) -> str:
        """RQ's name of the worker."""
        return self._entry.name

    def queue_names(self) -> list[str]:
        """Return the names of its queues, the most urgent first."""
        return list(self._queues)

    # Told to stop

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Stop claiming, and end once what is being sent is settled. A second signal ends at once."""
        # A handler runs between any two bytecodes of the main thread, also inside an Event whose lock that
        # holds: it may only set flags. The dispatcher looks at them at least every POLL seconds.
        self._stopping_since = datetime.now(UTC)
        self._stop_requested = True
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)

    def request_force_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """End at once, if the first signal came at least a second ago. Raises SystemExit."""
        if self._stopping_since and datetime.now(UTC) - self._stopping_since < _TWICE:
            return
        raise SystemExit

    def _install_signal_handlers(self) -> None:
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)

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
            self._be_born()
            self._entry.set_state(STARTED)
        except ResponseError as exc:
            raise_if_denied(exc)
            if passes(exc) and not out_of_memory(exc):
                raise
            events.WORKER_UNSEEN.log(log, error=one_line(str(exc), 300))
        if not self._listening:
            self.subscribe()

    def _be_born(self) -> None:
        """Register, unless an earlier try got as far as that; the heartbeat mends what is missing."""
        if self._entry.written:
            return
        # RQ would refuse a name whose last bearer was killed for as long as its registration lasts: minutes.
        if self._entry.taken():
            free = f"{self.name}.{secrets.token_hex(3)}"
            events.WORKER_RENAMED.log(log, taken=self.name, worker=free)
            self._entry.name = free
        self._entry.write()

    def show(self, state: str) -> None:
        """Stay registered, in this state. Raises RedisError."""
        self._entry.beat(state, self._stopping_since)
        now = datetime.now(UTC)
        if self._cleaned_at is None or now - self._cleaned_at > CLEANED_EVERY:
            self._cleaned_at = now
            # The queues' registries are swept by the server's clock (sweeper.py).
            self._entry.clean()

    def leave(self) -> None:
        """Disappear from among RQ's workers, and stop listening; never raises."""
        try:
            self.teardown()
        except RedisError as exc:
            events.WORKER_LEFT.log(log, error=type(exc).__name__)
        except Exception as exc:  # noqa: BLE001 - all mails are settled: how it leaves changes nothing for them
            events.WORKER_LEAVING_FAILED.log(log, error=type(exc).__name__, trace=True)

    def teardown(self) -> None:
        """Take the entry out, and stop listening."""
        self._entry.end()
        self.unsubscribe()

    # Given commands

    def subscribe(self) -> None:
        """Listen for RQ's commands, and for queues that were empty and no longer are."""
        self._pubsub = self.connection.pubsub()
        keys = keys_of(self.connection)
        wake = {keys.wake(q): lambda _: self._shared.wake.set() for q in self.queue_names()}
        self._pubsub.subscribe(**{self._entry.channel: self.handle_payload}, **wake)
        self._listening = self._pubsub.run_in_thread(
            sleep_time=0.5, daemon=True, exception_handler=self._keep_listening
        )

    def unsubscribe(self) -> None:
        """Stop listening; the thread closes its connection itself, which nobody else may touch before."""
        if self._listening:
            self._listening.stop()
            self._listening.join(timeout=1)

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


def _bound(connection: Redis) -> None:
    """Give a client of a caller's a time-out: without one, a server that hangs would hang the worker."""
    options = connection.connection_pool.connection_kwargs
    if not options.get("socket_timeout"):
        options["socket_timeout"] = SOCKET_TIMEOUT
