"""Ports of loopback."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port where nobody listens: one of many, so that test runs beside each other don't meet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
