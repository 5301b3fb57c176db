"""`rq-ses` as a process of its own whose modules are loaded: a Python starts longer than most commands take.

A first process loads what the commands import, and waits. For each run it forks one that takes over
arguments, environment, directory and streams, and goes through the command's entry.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_AT_START = ("PYTHON", "RQ_KEY_PREFIX", "LC_", "LANG", "LD_")
"""Beginnings of variables that count when a Python starts, or RQ is loaded."""

_Start = frozenset[tuple[str, str]]

_SOME: Final = 3
"""Runs with the same of these from which on a process waits for more: one takes as long to get ready."""


class Warm:
    """The process that waits, and what it is asked for. Threads may share it.

    Args:
        env: in which its Python starts.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Pipes, as those are that take the streams' places: a stream knows from its start what it may do.
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                env=dict(env),
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        self._socket = ours

    def close(self) -> None:
        """End it; what it has forked has ended before."""
        self._socket.close()
        self._process.communicate()

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], stdin: str | None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as subprocess.run does. Raises subprocess.TimeoutExpired."""
        asked = {"arguments": [*arguments], "env": dict(env), "directory": str(Path.cwd())}
        with tempfile.TemporaryFile() as told, Path(os.devnull).open("rb") as nothing:
            told.write(json.dumps(asked).encode())
            told.flush()
            given, writer = nothing.fileno(), None
            if stdin is not None:
                given, writing = os.pipe()
                writer = threading.Thread(target=_write, args=(writing, stdin.encode()))
            pipes = [os.pipe() for _ in range(3)]
            socket.send_fds(self._socket, [b"x"], [told.fileno(), given, *(pipe[1] for pipe in pipes)])
        for fd in [pipe[1] for pipe in pipes] + ([given] if writer else []):
            os.close(fd)
        if writer:
            writer.start()
        out, err, result = _read([pipe[0] for pipe in pipes], timeout)
        if writer:
            writer.join()
        pid, _, code = result.decode().partition(" ")
        if not code:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), timeout, out, err)
        return subprocess.CompletedProcess(list(arguments), int(code), _text(out), _text(err))


_waiting: dict[_Start, Warm] = {}
_runs: Counter[_Start] = Counter()


def warmed(env: Mapping[str, str]) -> Warm | None:
    """Return the process that waits for runs in such an environment, None if it isn't worth while yet."""
    start = frozenset((name, value) for name, value in env.items() if name.startswith(_AT_START))
    _runs[start] += 1
    if start not in _waiting and _runs[start] >= _SOME:
        _waiting[start] = Warm(env)
    return _waiting.get(start)


def end() -> None:
    """End all that wait."""
    while _waiting:
        _waiting.popitem()[1].close()


def _text(output: bytes) -> str:
    return output.decode().replace("\r\n", "\n").replace("\r", "\n")


def _write(fd: int, content: bytes) -> None:
    with suppress(BrokenPipeError), open(fd, "wb") as pipe:
        pipe.write(content)


def _read(fds: list[int], timeout: float) -> list[bytes]:
    """Return what is read from each to its end, or until the time is over."""
    found: dict[int, bytes] = dict.fromkeys(fds, b"")
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for fd in fds:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, 65_536)
                found[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    for fd in fds:
        os.close(fd)
    return [found[fd] for fd in fds]


# In the process that waits


def _load() -> None:
    """Load what the commands import: none of it looks at the environment before it is used."""
    from importlib.metadata import entry_points

    for point in entry_points(group="rq_ses.commands"):
        point.load()


def _serve(asking: socket.socket) -> dict[str, Any]:
    """Fork for each run that is asked for; return there what is asked."""
    while True:
        _, fds, _, _ = socket.recv_fds(asking, 1, 5)
        if not fds:
            os._exit(0)
        if os.fork() == 0:
            break
        for fd in fds:
            os.close(fd)
    told, stdin, stdout, stderr, result = fds
    asking.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        os.write(result, f"{pid} ".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(result, str(status).encode())
        os._exit(0)
    os.close(result)
    for fd, stream in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, stream)
        os.close(fd)
    with os.fdopen(told, "rb") as file:
        file.seek(0)
        found: dict[str, Any] = json.load(file)
    return found


def _leave(code: str | int | None) -> None:
    """End as the interpreter does, but for taking all modules apart."""
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == "__main__":
    _load()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended is nobody's to wait for
    run = _serve(socket.socket(fileno=os.dup(0)))
    os.environ.clear()
    os.environ.update(run["env"])
    time.tzset()
    os.chdir(run["directory"])
    sys.argv[1:] = run["arguments"]
    from rq_ses.cli import main

    try:
        main(prog_name="rq-ses")
    except SystemExit as exc:
        _leave(exc.code)
