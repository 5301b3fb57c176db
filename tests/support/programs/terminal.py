"""A terminal of a test's own, to see what a command shows there."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from typing import IO


def run_on_terminal(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | None = None,
    columns: int = 100,
    rows: int = 40,
    term: str = "xterm-256color",
) -> tuple[int, str]:
    """Run a command with stderr, and stdout unless given, on a terminal; return code and what it shows."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    try:
        process = subprocess.Popen(
            command,
            env={**env, "TERM": term},
            stdin=stdin,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
        )
    finally:
        os.close(slave)
    try:
        shown = b"".join(iter(lambda: _read(master), b""))
    finally:
        os.close(master)
    return process.wait(), shown.decode()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError as exc:
        # Linux says so when the last one on the other side has closed.
        if exc.errno == errno.EIO:
            return b""
        raise
