"""What the server of the queue has used at one moment."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness.services import Store


class ServerReading:
    """The server's counts at one moment; `cpu` in seconds, the rest in bytes."""

    def __init__(self, store: Store) -> None:
        self.cpu = store.cpu
        info: Any = store.connection.info("everything")
        self.aof = int(info["aof_current_size"])
        self.unwritten = int(info["aof_buffer_length"]) + int(info["aof_pending_bio_fsync"])
        # Without what the buffers of connections and of the file hold just now.
        beside = int(info["mem_clients_normal"]) + int(info["mem_aof_buffer"])
        self.memory = int(info["used_memory"]) - beside


def settled(store: Store) -> ServerReading:
    """Return the counts once everything is in the append-only file, and the server has nothing to do."""
    time.sleep(0.3)
    while (reading := ServerReading(store)).unwritten:
        time.sleep(0.1)
    return reading
