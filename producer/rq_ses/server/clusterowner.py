"""A cluster as an address book: which of its nodes owns our slot, and a connection that follows it.

    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT,...      rediss+cluster:// with TLS

All keys of rq-ses and RQ are in one slot (rq_ses.server.slot), so a cluster is to us what Sentinels are: it
tells where the one primary is. Scripts, transactions, WAIT and pub/sub then stay on a plain connection to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import exceptions as redis_errors
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from rq_ses.server.hosts import Address, read_hosts
from rq_ses.server.slot import is_tagged, slot_of
from rq_ses.server.timeouts import BoundedConnection, ending_within

NODE_PORT: Final = 6379
NODE_TIMEOUT: Final = 1.0
"""Seconds after which the next node is asked."""

_URL: Final = re.compile(
    r"(?P<scheme>rediss?)\+cluster://(?:(?P<user>[^/?#@\s]*)@)?(?P<hosts>[^/?#@\s]+)"
    r"(?:/(?P<db>\d*))?(?:\?(?P<query>[!-~]*))?"
)
_UNKNOWN: Final = ("", "?")
"""What a node gives as a host that it doesn't know: the one under which it was asked is meant."""

_PASSING: Final = (
    redis_errors.AskError,  # MOVED, too
    redis_errors.ClusterDownError,  # MASTERDOWN, too
    redis_errors.ReadOnlyError,
    redis_errors.TryAgainError,
)


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    """Which nodes are named, and how each is spoken to: by the URL of one of them, as redis-py reads it."""

    nodes: tuple[Address, ...]
    node_url: str


def is_cluster_url(url: str) -> bool:
    """Tell whether a URL names the nodes of a cluster."""
    return url.startswith(("redis+cluster://", "rediss+cluster://"))


def read_cluster_url(url: str) -> ClusterUrl:
    """Return what a redis+cluster:// URL says; nothing is connected.

    Raises:
        ValueError: it isn't one; the text holds nothing of the URL, which may hold a password.
    """
    match = _URL.fullmatch(url)
    if not match:
        raise ValueError("write redis+cluster://host1:6379,host2:6379")
    nodes = read_hosts(match["hosts"], NODE_PORT)
    user = f"{match['user']}@" if match["user"] else ""
    query = f"?{match['query']}" if match["query"] else ""
    return ClusterUrl(nodes, f"{match['scheme']}://{user}placeholder/{match['db'] or 0}{query}")


class ClusterOwner:
    """Finds the node that owns the slot of a prefix. Threads may share it.

    Args:
        nodes: those to ask first; all that they tell of are asked later, too.
        prefix: what all keys begin with.
    """

    def __init__(self, nodes: Sequence[Address], prefix: str) -> None:
        self.tagged: Final = is_tagged(prefix)
        self.slot: Final = slot_of(prefix)
        self._given = tuple(nodes)
        self._nodes = self._given
        """In the order in which they are asked; replaced as a whole."""

    def of(self, prefix: str) -> ClusterOwner:
        """Return what finds the owner of another prefix's slot in the same cluster."""
        return ClusterOwner(self._given, prefix)

    def owners(self, ask: Callable[[Address], Any]) -> Iterator[Address]:
        """Yield the owner's address as the first node tells it; where that is of no use, as others tell it.

        During a failover some name the dead owner longer than others.

        Args:
            ask: returns a node's answer to CLUSTER SLOTS, or raises RedisError.

        Raises:
            ConnectionError: redis-py's: no node tells it now.
            RedisError: those that answer refuse to tell.
        """
        told: set[Address] = set()
        refusal: RedisError | None = None
        failures = []
        for node in self._nodes:
            try:
                owner, others = self._read(ask(node), node)
            except RedisError as exc:
                failures.append(f"{node[0]}:{node[1]}: {exc}")
                refusal = refusal if _passes(exc) else exc
                continue
            if owner not in told:
                told.add(owner)
                self._nodes = tuple(dict.fromkeys((node, *others, *self._given)))
                yield owner
        if not told:
            self.pass_over()
            raise refusal or ConnectionLost(
                f"no node tells who owns slot {self.slot} ({'; '.join(failures)})"
            )

    def ask_first(self, node: Address) -> None:
        """Ask this node before others: it is said to be the owner."""
        self._nodes = tuple(dict.fromkeys((node, *self._nodes)))

    def pass_over(self) -> None:
        """Ask another node next time: what the first one told was of no use."""
        first, *others = self._nodes
        self._nodes = (*others, first)

    def _read(self, answer: Any, asked: Address) -> tuple[Address, list[Address]]:
        """Return the owner and all nodes of an answer to CLUSTER SLOTS."""
        owner, nodes = None, []
        for first, last, *shard in answer:
            addresses = [_address(node, asked) for node in shard]
            nodes += addresses
            if first <= self.slot <= last:
                owner = addresses[0]
        if owner is None:
            raise ConnectionLost(f"no node owns slot {self.slot}")
        return owner, nodes


def _passes(exc: RedisError) -> bool:
    # Wrong credentials are a ConnectionError, too.
    lost = isinstance(exc, ConnectionLost | redis_errors.TimeoutError)
    return lost and not isinstance(exc, redis_errors.AuthenticationError)


def _address(node: Sequence[Any], asked: Address) -> Address:
    host, port, *_ = node
    return known_host(host.decode() if isinstance(host, bytes) else host, asked), int(port)


def known_host(host: str | None, asked: Address) -> str:
    """Return a host that a node has named, or its own where it doesn't know that."""
    return asked[0] if host is None or host in _UNKNOWN else host


def owner_connection(kind: Any) -> Any:
    """Return a class of connections to the owner, made of redis-py's for a node; it takes an `owner`, too."""
    plain = type("Connection", (BoundedConnection, kind), {})
    return type("Connection", (_OwnerConnection, plain), {"_plain": plain})


class _OwnerConnection:
    """A connection that looks for the owner whenever it connects, and is given up when that is another."""

    _plain: Any
    host: str
    port: int

    def __init__(self, *, owner: ClusterOwner, **options: Any) -> None:
        parent: Any = super()
        parent.__init__(**options)
        self._owner = owner
        pools = ("maint", "orig_", "oss_")
        self._options = {name: value for name, value in options.items() if not name.startswith(pools)}
        self._options["db"] = 0

    def _connect(self) -> Any:
        parent: Any = super()
        failure: OSError | None = None
        for address in self._owner.owners(self._ask):
            self.host, self.port = address
            try:
                return parent._connect()
            except OSError as exc:
                failure = exc
        raise failure or ConnectionLost("no owner")

    def _ask(self, node: Address) -> Any:
        host, port = node
        asking = self._plain(**{**self._options, "host": host, "port": port})
        try:
            with ending_within(NODE_TIMEOUT):
                asking.connect()
                asking.send_command("CLUSTER", "SLOTS")
                return asking.read_response()
        finally:
            asking.disconnect()

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = super()
        try:
            return connection.read_response(*args, **kwargs)
        except _PASSING as exc:
            if isinstance(exc, redis_errors.AskError) and not self._owner.tagged:
                # That doesn't pass: keys are all over the cluster.
                raise redis_errors.ClusterCrossSlotError(f"{exc}, and the prefix has no hash tag") from exc
            if not isinstance(exc, redis_errors.TryAgainError):
                connection.disconnect()
            if isinstance(exc, redis_errors.MovedError):
                self._owner.ask_first((known_host(exc.host, (self.host, self.port)), exc.port))
            elif isinstance(exc, redis_errors.ClusterDownError | redis_errors.ReadOnlyError):
                self._owner.pass_over()
            raise ConnectionLost(_in_words(exc, f"{self.host}:{self.port}")) from exc


def _in_words(exc: RedisError, node: str) -> str:
    # Without the server's own words for it: what follows the owner needs no remedy.
    match exc:
        case redis_errors.MovedError():
            return f"{node} no longer owns slot {exc.slot_id}: {exc.host}:{exc.port} does"
        case redis_errors.AskError() | redis_errors.TryAgainError():
            return f"our slot is being moved away from {node}"
        case redis_errors.ReadOnlyError():
            return f"{node} has become a replica"
        case _:
            return f"the cluster is down, as {node} sees it"
