"""Where a server is: its URL, or a client of the caller's that is connected to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from rq_ses.keys import Keys, keys_of
from rq_ses.server.connection import THREADS, Clients


@dataclass(frozen=True, slots=True)
class Location:
    """A server that a caller has named, by its URL or by a client of their own."""

    url: str = field(repr=False)
    """Empty where a client was given; it may hold a password."""
    connection: Any = field(repr=False)
    """A client, or None."""

    @classmethod
    def given(cls, redis_url: Any, connection: Any, *, to: str, otherwise: str = "") -> Self:
        """Return the one that was given; a client may stand in the place of the URL.

        Args:
            redis_url: a URL (see rq_ses.server.connection), or a client.
            connection: a client.
            to: the name of what needs it, for the error.
            otherwise: what else could be done, for the error.

        Raises:
            ValueError: both were given, or neither.
        """
        if redis_url is not None and not isinstance(redis_url, str):
            redis_url, connection = None, redis_url
        if (redis_url is None) == (connection is None):
            raise ValueError(
                f"{to} needs either a redis_url or a connection: give exactly one of them{otherwise}"
            )
        return cls(redis_url or "", connection)

    @property
    def keys(self) -> Keys:
        """Those of the client that was given, or the process's own."""
        return keys_of(self.connection)

    def client(
        self,
        *,
        socket_timeout: float,
        connect_timeout: float,
        beyond: float = 0,
        keys: Keys | None = None,
        clients: Clients[Any] = THREADS,
    ) -> Any:
        """Return a client of ours, which neither connects yet nor tries again by itself.

        Args:
            socket_timeout: seconds for a command.
            connect_timeout: seconds for a connection.
            beyond: seconds by which a command may take longer, whatever the URL says.
            keys: under which it works; None: those of the client that was given, or the process's own.
            clients: what makes it.

        Raises:
            ValueError: the URL can't be read, or the client is one of Sentinels' replicas.
            TypeError: the client isn't one of one server, of the kind that `clients` makes.
        """
        make, of = (clients.connect, self.url) if self.connection is None else (clients.own, self.connection)
        client = make(of, socket_timeout=socket_timeout, connect_timeout=connect_timeout, keys=keys)
        client.connection_pool.connection_kwargs["socket_timeout"] += beyond
        return client
