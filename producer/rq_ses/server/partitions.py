"""The partitions of a queue as clients: one for each, each under a prefix of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.keys import keys_of
from rq_ses.partition import partition_keys, partition_of
from rq_ses.server.location import Location


class Partitions:
    """Clients of the partitions of a queue, in the order in which the setting names them.

    A queue that has none is a queue of one: its client goes by the deployment's own prefix. Threads may share
    an object; left as a context, it closes the clients.

    Args:
        clients: one for each partition, each with the keys of its prefix (rq_ses.keys.keys_of).
        own: under the deployment's own prefix, where what is one for all partitions stands: the accounts'
            gates. Without partitions, the only client.
    """

    def __init__(self, clients: Sequence[Redis], own: Redis) -> None:
        self.clients = tuple(clients)
        self.own = own
        self._by_prefix = {keys_of(client).prefix: client for client in clients}

    @classmethod
    def at(
        cls, server: Location, given: str | Sequence[str], *, socket_timeout: float, connect_timeout: float
    ) -> Self:
        """Return those of some prefixes, none of which connects yet.

        Args:
            server: where they are; in a cluster, each where its slot is.
            given: their prefixes (rq_ses.partition.read_partitions); none is a queue without partitions.
            socket_timeout: seconds for a command.
            connect_timeout: seconds for a connection.

        Raises:
            ValueError: the URL or the prefixes can't be used, or the client is one of Sentinels' replicas.
            TypeError: the client isn't a redis.Redis of one server.
        """

        own, *others = dict.fromkeys((server.keys, *partition_keys(given, server.keys)))
        clients = [
            server.client(socket_timeout=socket_timeout, connect_timeout=connect_timeout, keys=keys)
            for keys in (own, *others)
        ]
        return cls(clients[1:] or clients, clients[0])

    def of(self, job_id: str) -> Redis:
        """Return the client of the partition that a job belongs to, whether it is there or not."""
        return self.clients[partition_of(job_id, len(self.clients))]

    def under(self, prefix: str) -> Redis:
        """Return the client of a partition by its prefix. Raises KeyError if there is none."""
        return self._by_prefix[prefix]

    def naming(self, client: Redis) -> AbstractContextManager[None]:
        """Let an error of Redis in a block name the partition of a client; without partitions, nothing."""
        return _naming(client) if self.prefixes else nullcontext()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Their prefixes; none if the queue has no partitions."""
        if len(self.clients) == 1:
            return ()
        return tuple(self._by_prefix)

    def close(self) -> None:
        """Close all connections."""
        for client in {id(client): client for client in (self.own, *self.clients)}.values():
            client.close()

    def __len__(self) -> int:
        return len(self.clients)

    def __iter__(self) -> Iterator[Redis]:
        return iter(self.clients)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


@contextmanager
def _naming(client: Redis) -> Iterator[None]:
    """Let an error of Redis in the block name the partition of a client, unless a block inside has done so.

    It becomes a note of the exception, which rq_ses.server.refusal.in_words repeats.
    """
    try:
        yield
    except RedisError as exc:
        if not hasattr(exc, "__notes__"):
            exc.add_note(f"partition {keys_of(client).prefix}")
        raise
