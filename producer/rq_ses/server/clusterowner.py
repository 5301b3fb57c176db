"""A cluster as an address book: which of its nodes owns our slot, and a connection that follows it.

    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT,...      rediss+cluster:// with TLS

All keys of rq-ses and RQ are in one slot (rq_ses.server.slot), so a cluster is to us what Sentinels are: it
tells where the one primary is. Scripts, transactions, WAIT and pub/sub then stay on a plain connection to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis import exceptions as redis_errors
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from rq_ses.plan import Plan, carry_out
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

PASSING: Final = (
    redis_errors.AskError,  # MOVED, too
    redis_errors.ClusterDownError,  # MASTERDOWN, too
    redis_errors.ReadOnlyError,
    redis_errors.TryAgainError,
)


class Ask(NamedTuple):
    """A step: what a node answers to CLUSTER SLOTS."""

    node: Address


class Connect(NamedTuple):
    """A step: a connection to who is said to be the owner."""

    owner: Address


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

    def connecting(self) -> Plan[None]:
        """Connect to the owner as the first node tells it; where that is of no use, as others tell it.

        During a failover some name the dead owner longer than others. Steps: Ask, whose answer is a node's to
        CLUSTER SLOTS, and Connect.

        Raises:
            ConnectionError: redis-py's: no node tells it now.
            RedisError: those that answer refuse to tell.
            OSError: no address that was told can be connected to.
        """
        told: set[Address] = set()
        refusal: RedisError | None = None
        failure: OSError | None = None
        failures = []
        for node in self._nodes:
            try:
                owner, others = self._read((yield Ask(node)), node)
            except RedisError as exc:
                failures.append(f"{node[0]}:{node[1]}: {exc}")
                refusal = refusal if _passes(exc) else exc
                continue
            if owner not in told:
                told.add(owner)
                self._nodes = tuple(dict.fromkeys((node, *others, *self._given)))
                try:
                    yield Connect(owner)
                except OSError as exc:
                    failure = exc
                else:
                    return
        if not told:
            self.pass_over()
            raise refusal or ConnectionLost(
                f"no node tells who owns slot {self.slot} ({'; '.join(failures)})"
            )
        raise failure or ConnectionLost("no owner")

    def leaves(self, exc: RedisError) -> bool:
        """Tell whether the connection to a node that says this is of no more use."""
        return not isinstance(exc, redis_errors.TryAgainError) and not self._is_scattered(exc)

    def _is_scattered(self, exc: RedisError) -> bool:
        # That doesn't pass: keys are all over the cluster.
        return isinstance(exc, redis_errors.AskError) and not self.tagged

    def learn(self, exc: RedisError, node: Address) -> RedisError:
        """Return what a node's error comes to, and learn from it who may be the owner now."""
        if self._is_scattered(exc):
            return redis_errors.ClusterCrossSlotError(f"{exc}, and the prefix has no hash tag")
        if isinstance(exc, redis_errors.MovedError):
            self.ask_first((known_host(exc.host, node), exc.port))
        elif isinstance(exc, redis_errors.ClusterDownError | redis_errors.ReadOnlyError):
            self.pass_over()
        return ConnectionLost(_in_words(exc, f"{node[0]}:{node[1]}"))

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


def owner_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a connection to a node that is asked, of those to the owner."""
    pools = ("maint", "orig_", "oss_")
    return {**{name: value for name, value in options.items() if not name.startswith(pools)}, "db": 0}


def owner_connection(kind: Any) -> Any:
    """Return a class of connections to the owner, made of redis-py's for a node; it takes an `owner`, too."""
    plain = type("Connection", (BoundedConnection, kind), {})
    return type("Connection", (_OwnerConnection, plain), {"_plain": plain})


class OwnerOptions:
    """What a connection is given that looks for the owner whenever it connects."""

    _plain: Any
    host: str
    port: int

    def __init__(self, *, owner: ClusterOwner, **options: Any) -> None:
        parent: Any = super()
        parent.__init__(**options)
        self._owner = owner
        self._options = owner_options(options)

    def _to(self, node: Address) -> Any:
        """Return a connection to a node, which isn't connected yet."""
        host, port = node
        return self._plain(**{**self._options, "host": host, "port": port})


class _OwnerConnection(OwnerOptions):
    """A connection that looks for the owner whenever it connects, and is given up when that is another."""

    def _connect(self) -> Any:
        connect: Any = super()._connect  # type: ignore[misc]
        connected: Any = None

        def make(step: Ask | Connect) -> Any:
            nonlocal connected
            if isinstance(step, Ask):
                return self._ask(step.node)
            self.host, self.port = step.owner
            connected = connect()
            return None

        carry_out(self._owner.connecting(), make)
        return connected

    def _ask(self, node: Address) -> Any:
        asking = self._to(node)
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
        except PASSING as exc:
            if self._owner.leaves(exc):
                connection.disconnect()
            raise self._owner.learn(exc, (self.host, self.port)) from exc


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
