"""What an Outbox is made of, whichever its face: its arguments, checked, and where its mails are written."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Self, TypeVar

from rq_ses import contract
from rq_ses.keys import Keys, keys_of
from rq_ses.outbox.arguments import Terms
from rq_ses.outbox.plans.durability import Confirmation
from rq_ses.outbox.plans.enqueueing import Enqueueing
from rq_ses.outbox.plans.sending import Sending
from rq_ses.outbox.plans.spreading import Spreading
from rq_ses.outbox.plans.steps import Line
from rq_ses.outbox.plans.tracking import Tracking, tracking
from rq_ses.outbox.ranges import checked_ttl, checked_wait
from rq_ses.partition import partition_keys
from rq_ses.server.location import Location
from rq_ses.tracing.spans import Tracing

if TYPE_CHECKING:
    from rq_ses.outbox.bulk.sending import BulkSending

ENQUEUE_TIMEOUT: Final = 2.0
"""Seconds for which a call tries again while Redis is away."""

_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 5.0, 2.0
"""Seconds for one attempt, where the call has as many."""

_TTL_BEYOND: Final = 60
"""Seconds by which a job outlives the call that enqueues it, which looks for it after a lost reply."""

Client = TypeVar("Client")


class Waits(NamedTuple):
    """Seconds for which a client waits."""

    connect: float
    """For a connection."""
    command: float
    """For the answer to a command."""
    confirming: float
    """Beyond that, for a command which waits for the disk, and for replicas."""


class OutboxBase(Generic[Client]):
    """What Outbox and AsyncOutbox have in common; their arguments, as Outbox describes them.

    Raises:
        ValueError: an argument can't be used.
        TypeError: `connection` is no client of one server, or one of the other face.
    """

    def __init__(
        self,
        redis_url: str | Client | None = None,
        queue: str = contract.DEFAULT_QUEUE,
        *,
        partitions: str | Sequence[str] = (),
        connection: Client | None = None,
        result_ttl: int = contract.RESULT_TTL,
        failure_ttl: int = contract.FAILURE_TTL,
        enqueue_timeout: float = ENQUEUE_TIMEOUT,
        durable_replicas: int = 0,
        durable_timeout: float = 5.0,
        tracing: bool = False,
    ) -> None:
        name = type(self).__name__
        or_else = f", or let {name}.from_env() read RQ_SES_REDIS_URL and its siblings"
        server = Location.given(redis_url, connection, to=name, otherwise=or_else)
        self.queue = _checked_queue(queue)
        checked_wait("enqueue_timeout", enqueue_timeout)
        terms = _terms(queue, enqueue_timeout, result_ttl, failure_ttl)
        confirmation = Confirmation(durable_replicas, durable_timeout)
        # Trying again is ours, bounded by the timeout: redis-py's own retries would multiply it.
        command, connect = min(_SOCKET_TIMEOUT, enqueue_timeout), min(_CONNECT_TIMEOUT, enqueue_timeout)
        waits = Waits(connect, command, confirmation.longest)
        each = []
        servers: list[tuple[Line, str, Keys]] = []
        for keys in partition_keys(partitions, server.keys):
            line, client = self._open(server, keys, waits)
            servers.append((line, address(client), keys_of(client)))
            each.append(Enqueueing(*servers[-1], terms, timeout=enqueue_timeout, confirmation=confirmation))
        self._lines: tuple[Any, ...] = tuple(one.line for one in each)
        where = each[0] if len(each) == 1 else Spreading(each)
        self._tracing = Tracing() if tracing else None
        self._sending = Sending(queue, where, self._tracing)
        self._servers = tuple(each)
        self._reached = servers
        self._bulk_terms = terms, enqueue_timeout, confirmation

    @cached_property
    def _bulk(self) -> BulkSending:
        """What plans the sending of campaigns."""
        # Here, for most programs send none.
        from rq_ses.outbox.bulk.sending import BulkSending
        from rq_ses.outbox.bulk.writing import BulkWriting, Server

        terms, timeout, confirmation = self._bulk_terms
        return BulkSending(
            [
                BulkWriting(Server(*server), terms, timeout=timeout, confirmation=confirmation)
                for server in self._reached
            ],
            contract.queue_name(self.queue, "bulk"),
            self._tracing,
        )

    @abstractmethod
    def _open(self, server: Location, keys: Keys | None, waits: Waits) -> tuple[Line, Any]:
        """Return the way to a server, and a client that leads there; nothing is connected yet."""

    @property
    def _tracking(self) -> Tracking:
        # Made for each call: it costs nothing beside one, and holds no state.
        return tracking(self.queue, self._servers)

    @classmethod
    def from_env(cls, *, config: str | None = None, **overrides: Any) -> Self:
        """Return what the settings describe: those that `rq-ses` reads for its commands.

        RQ_SES_REDIS_URL, RQ_SES_QUEUE and their siblings count, else the file that RQ_SES_CONFIG names.

        Args:
            config: a file in place of that one.
            overrides: settings by their names (redis_url, queue, result_ttl, …) that count before all others.

        Raises:
            SettingsError: with a line for each that is missing, wrong, or no setting at all.
        """
        # Here, for an Outbox that is given its arguments reads no settings.
        from rq_ses.settings.producer import load_producer_settings

        return cls(**load_producer_settings(config=config, **overrides).model_dump())


def _terms(queue: str, enqueue_timeout: float, result_ttl: int, failure_ttl: int) -> Terms:
    least = math.ceil(enqueue_timeout) + _TTL_BEYOND
    given = checked_ttl("result_ttl", result_ttl), checked_ttl("failure_ttl", failure_ttl)
    return Terms(queue, *(ttl if ttl < 0 else max(ttl, least) for ttl in given))


def _checked_queue(name: str) -> str:
    try:
        return contract.checked_queue(name)
    except ValueError as exc:
        raise ValueError(f"queue: {exc}") from exc


def address(connection: Any) -> str:
    """Return what tells a server, or a service of some Sentinels, from others."""
    pool: Any = connection.connection_pool
    if manager := getattr(pool, "sentinel_manager", None):
        asked = " ".join(sorted(address(one) for one in manager.sentinels))
        return f"{pool.service_name} {asked}"
    return "/".join(str(pool.connection_kwargs.get(name, "")) for name in ("host", "port", "path"))
