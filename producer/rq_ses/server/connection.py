"""Connections to the server by URL: one Redis or Valkey, or the primary that Sentinels or a cluster name.

    redis://[USER:PASSWORD@]HOST:PORT/DB      rediss:// with TLS      unix:///PATH
    redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT,.../SERVICE[/DB]      rediss+sentinel:// with TLS

Credentials are the primary's; the Sentinels' own stand in the query: sentinel_username, sentinel_password.
The URL of a cluster: rq_ses.server.clusterowner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

import redis
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.connection import SSLConnection, parse_url
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from rq_ses.keys import Keys, carry, keys_of
from rq_ses.server.clusterowner import ClusterOwner, is_cluster_url, owner_connection, read_cluster_url
from rq_ses.server.hosts import read_hosts
from rq_ses.server.redisurl import check_redis_url
from rq_ses.server.timeouts import BoundedConnection

Client = TypeVar("Client")

SENTINEL_PORT: Final = 26379
SENTINEL_TIMEOUT: Final = 1.0
"""Seconds after which the next Sentinel is asked."""

BORROWED_TIMEOUT: Final = 5.0
"""Seconds for a connection and for a command of a client that is made for a moment."""

BECAME_REPLICA: Final = "the server has become a replica"

_SENTINEL_URL: Final = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?:(?P<user>[^/?#@\s]*)@)?(?P<hosts>[^/?#@\s]+)"
    r"/(?P<service>[^/?#\s]+)(?:/(?P<db>\d*))?(?:\?(?P<query>[!-~]*))?"
)


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """Where the Sentinels are, which service they watch, and how its primary is spoken to."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    sentinel_options: dict[str, Any] = field(repr=False)
    options: dict[str, Any] = field(repr=False)


def is_sentinel_url(url: str) -> bool:
    """Tell whether a URL names Sentinels rather than a server."""
    return url.startswith(("redis+sentinel://", "rediss+sentinel://"))


def read_sentinel_url(url: str) -> SentinelUrl:
    """Return what a redis+sentinel:// URL says; nothing is connected.

    Raises:
        ValueError: it isn't one; the text holds nothing of the URL, which may hold a password.
    """
    match = _SENTINEL_URL.fullmatch(url)
    if not match:
        raise ValueError("write redis+sentinel://host1:26379,host2:26379/SERVICE/DB")
    query = dict(parse_qsl(match["query"] or "", keep_blank_values=True))
    names = {f"sentinel_{name}": name for name in ("username", "password")}
    sentinel_options: dict[str, Any] = {names[name]: query.pop(name) for name in list(query) if name in names}
    # A plain URL of the same options: so redis-py reads them as it always does.
    options = parse_url(
        f"{match['scheme']}://{match['user'] + '@' if match['user'] else ''}placeholder/{match['db'] or 0}"
        f"{'?' + urlencode(query) if query else ''}"
    )
    del options["host"]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = sentinel_options["ssl"] = True
        tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
        sentinel_options.update(tls)
    return SentinelUrl(
        read_hosts(match["hosts"], SENTINEL_PORT), unquote(match["service"]), sentinel_options, options
    )


@dataclass(frozen=True)
class Clients(Generic[Client]):
    """Makes clients of redis-py's classes: of those for threads (THREADS), or of redis.asyncio's.

    A client neither connects when it is made nor tries again by itself: trying again is its user's.
    A connection is given up when it is lost, and when its server has become a replica; the next one asks the
    Sentinels (the cluster, the name service) anew. So a client finds the new primary after a failover;
    until there is one its commands raise redis.exceptions.ConnectionError.
    """

    kit: Any
    """The package that has the classes: redis, or redis.asyncio."""
    pipeline: type[Client]
    retry: Any
    bounded: type
    """What every connection of ours is, besides."""
    moving: type
    """What connections are, too, that don't learn otherwise that their server has become a replica."""
    owned: Callable[[Any], Any]
    """Makes a class of connections to a cluster's owner of one to a node."""
    elsewhere: str
    """What to do with a client of the other kind."""

    def connect(
        self, redis_url: str, *, socket_timeout: float, connect_timeout: float, keys: Keys | None = None
    ) -> Client:
        """Return a client by a URL.

        Args:
            redis_url: as described above; that of a cluster leads to the owner of the slot of the prefix.
            socket_timeout: seconds for a command.
            connect_timeout: seconds for a connection.
            keys: under which it works (keys_of); None: the process's own.

        Raises:
            ValueError: the URL can't be read.
        """
        check_redis_url(redis_url)
        options: dict[str, Any] = {
            "socket_timeout": socket_timeout,
            "socket_connect_timeout": connect_timeout,
            "retry": self._never(),
        }
        if not redis_url.startswith("unix:"):
            options["socket_keepalive"] = True
        if is_cluster_url(redis_url):
            client: Any = self._of_cluster(redis_url, options, keys or Keys.default())
        elif is_sentinel_url(redis_url):
            client = self._of_sentinels(redis_url, options)
        else:
            pool = self.kit.ConnectionPool.from_url(redis_url, **options)
            pool.connection_class = self._ours(pool.connection_class)
            client = self.kit.Redis.from_pool(pool)
        if keys:
            carry(client, keys)
        return client  # type: ignore[no-any-return]

    def _of_sentinels(self, redis_url: str, options: dict[str, Any]) -> Any:
        found = read_sentinel_url(redis_url)
        sentinel = self._bounded(self.kit.Sentinel(found.sentinels, sentinel_kwargs=found.sentinel_options))
        plain = {**options, **found.options}
        kit = self.kit
        kind = kit.SentinelManagedSSLConnection if plain.pop("ssl", False) else kit.SentinelManagedConnection
        return sentinel.master_for(found.service, **plain, connection_class=self._ours(kind))

    def _of_cluster(self, redis_url: str, options: dict[str, Any], keys: Keys) -> Any:
        found = read_cluster_url(redis_url)
        pool = self.kit.ConnectionPool.from_url(found.node_url, **options)
        host, port = found.nodes[0]  # for who looks at the client: connections go where the owner is
        owner = ClusterOwner(found.nodes, keys.prefix)
        pool.connection_kwargs.update(host=host, port=port, owner=owner)
        pool.connection_class = self.owned(pool.connection_class)
        return self.kit.Redis.from_pool(pool)

    def own(
        self, connection: Any, *, socket_timeout: float, connect_timeout: float, keys: Keys | None = None
    ) -> Client:
        """Return a client like that of `connect` to where a client that was handed over leads.

        Address, credentials, TLS, database, Sentinels and (unless others are given) keys are its own; it is
        left as it is. Neither its retries and time-outs (redis-py 8 repeats commands ten times) nor its
        decoding are.

        Raises:
            TypeError: it is no client of one server.
            ValueError: it is one of Sentinels' replicas.
        """
        self._check(connection)
        pool: Any = connection.connection_pool
        options: dict[str, Any] = {
            **_kept(pool.connection_kwargs, keys),
            "socket_timeout": socket_timeout,
            "socket_connect_timeout": connect_timeout,
            "retry": self._never(),
            "connection_class": self._ours(pool.connection_class),
            "max_connections": pool.max_connections,
        }
        if isinstance(pool, self.kit.SentinelConnectionPool):
            if not pool.is_master:
                raise ValueError(
                    "connection: its server is a replica: give Sentinel(...).master_for(SERVICE)"
                )
            own = self.kit.SentinelConnectionPool(
                pool.service_name, self._bounded(pool.sentinel_manager), **options
            )
        elif isinstance(pool, self.kit.BlockingConnectionPool):
            own = self.kit.BlockingConnectionPool(timeout=socket_timeout, **options)
        else:
            own = self.kit.ConnectionPool(**options)
        client: Any = self.kit.Redis.from_pool(own)
        carry(client, keys or keys_of(connection))
        return client  # type: ignore[no-any-return]

    def _check(self, connection: Any) -> None:
        ours = isinstance(connection, self.kit.Redis)
        if ours and not isinstance(connection, self.pipeline):
            return
        kinds = type(connection).__mro__
        name = f"{type(connection).__module__}.{type(connection).__qualname__}"
        wanted = f"{self.kit.Redis.__module__.removesuffix('.client')}.{self.kit.Redis.__name__}"
        remedy = f"give a {wanted}, or a URL as redis_url"
        if any(base.__name__ == "RedisCluster" for base in kinds):
            remedy = (
                f"give its nodes as a URL (redis+cluster://host:port,host:port), or a {wanted} of a single "
                "server, or of Sentinels"
            )
        elif not ours and any(base.__name__ == self.kit.Redis.__name__ for base in kinds):
            remedy = f"it is {self.elsewhere}"
        raise TypeError(f"connection: a {name} can't be used: {remedy}")

    def _bounded(self, manager: Any) -> Any:
        """Return one like a Sentinel manager, whose Sentinels are each asked once, and briefly."""
        own = self.kit.Sentinel([], manager.min_other_sentinels, sentinel_kwargs={})
        own.sentinels = [
            self.own(one, socket_timeout=SENTINEL_TIMEOUT, connect_timeout=SENTINEL_TIMEOUT)
            for one in manager.sentinels
        ]
        # redis-py 6 and later; before, there is none.
        own._force_master_ip = getattr(manager, "_force_master_ip", None)
        return own

    def _ours(self, kind: Any) -> Any:
        """Return a class with what ours have: they know a replica, and the size of what they write."""
        if not isinstance(kind, type) or issubclass(kind, self.bounded):
            return kind
        managed = issubclass(kind, self.kit.SentinelManagedConnection)  # it knows a replica already
        return type("Connection", (self.bounded, kind) if managed else (self.moving, self.bounded, kind), {})

    def _never(self) -> Any:
        return self.retry(NoBackoff(), 0)


_PLAIN: Final[dict[str, Any]] = {
    "decode_responses": False,
    "encoding": "utf-8",
    "encoding_errors": "strict",
    "retry_on_error": [],
    "retry_on_timeout": False,
}
"""What scripts and payloads need: bytes as they are; and no trying again but ours."""


def _kept(options: dict[str, Any], keys: Keys | None) -> dict[str, Any]:
    """Return the options of a client's connections that ours have, too."""
    kept = {name: value for name, value in options.items() if not _of_its_pool(name)} | _PLAIN
    if keys and "owner" in kept:
        kept["owner"] = kept["owner"].of(keys.prefix)
    if "legacy_responses" in kept:
        kept["legacy_responses"] = True
    if "host" in kept:
        # A server that is being moved stands in the way of its own name for a while (redis-py 8).
        kept["host"] = options.get("orig_host_address") or kept["host"]
    return kept


def _of_its_pool(name: str) -> bool:
    return name.startswith(("maint", "orig_", "oss_")) or name in ("connection_pool", "himport_registry")


class _Moving:
    """A connection that is given up when its server refuses writes, as redis-py's for Sentinels is."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = super()
        try:
            return connection.read_response(*args, **kwargs)
        except ReadOnlyError as exc:
            connection.disconnect()
            raise ConnectionLost(BECAME_REPLICA) from exc


THREADS: Final[Clients[Redis]] = Clients(
    *(redis, Pipeline, Retry, BoundedConnection, _Moving, owner_connection),
    elsewhere="asyncio's: give a redis.Redis, or to enqueue use rq_ses.aio.AsyncOutbox",
)

connect = THREADS.connect
own_client = THREADS.own


@contextmanager
def borrowed(connection: Redis) -> Iterator[Redis]:
    """Use one of our clients as it is, and in place of any other its `own_client`, for a moment."""
    if isinstance(connection, Redis) and _is_ours(connection.connection_pool.connection_class):
        yield connection
        return
    with own_client(connection, socket_timeout=BORROWED_TIMEOUT, connect_timeout=BORROWED_TIMEOUT) as own:
        yield own


def _is_ours(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BoundedConnection)
