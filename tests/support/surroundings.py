"""What a run of the tests inherits from whoever starts it, put aside; and what it must not leave behind.

A script's background job, nohup, cron or a developer's shell hand down ignored signals, closed streams, a
mask of file modes and settings. Processes started by a test inherit them in turn: a signal that is ignored
here would be ignored there, one that has a handler here has its default there.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest

from support.programs import warm

KNOBS: Final = ("RQ_SES_FAULT_", "RQ_SES_OUTAGE_SECONDS", "RQ_SES_RATE_SECONDS")
"""Variables that are meant for the tests themselves."""

FOREIGN: Final = (
    "AWS_", "RQ_", "REDIS_", "DJANGO_", "FLASK_", "GUNICORN_", "PYTEST_ADDOPTS", "PLAYWRIGHT_",
    "PYTHONWARNINGS", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONOPTIMIZE", "PYTHONDEVMODE", "LANG",
    "LC_", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "TTY_",
    "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
)  # fmt: skip
"""Beginnings of the names of variables that change what a program does or prints."""

PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")

GRACE: Final = 3.0
"""Seconds in which what was told to end must have ended."""

MARK: Final = "TESTS_RUN"
"""A variable by which every process that a run has started is known, whoever its parent is by now."""


def _is_foreign(name: str) -> bool:
    return name.lower() in PROXIES or (name.startswith(FOREIGN) and not name.startswith(KNOBS))


def _without_foreign_variables() -> None:
    # Environments that a test makes are filled by pip, which may need these.
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(name):
            os.environ.setdefault("PIP_PROXY" if "proxy" in name.lower() else "PIP_CERT", os.environ[name])
    for name in [name for name in os.environ if _is_foreign(name)]:
        del os.environ[name]
    os.environ["LC_ALL"] = "C.UTF-8"
    time.tzset()


def _with_every_signal() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        # The run itself goes on, as it was told to; a handler isn't inherited by what it starts.
        signal.SIGHUP: lambda *_: None,
        signal.SIGQUIT: lambda *_: None,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGCHLD: signal.SIG_DFL,
        signal.SIGALRM: signal.SIG_DFL,
        signal.SIGUSR1: signal.SIG_DFL,
        signal.SIGUSR2: signal.SIG_DFL,
    }
    for number, handler in handlers.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def _with_three_streams() -> None:
    """Let no file that a test opens become its children's stdin, stdout or stderr."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Put aside what was inherited, before a worker of pytest-xdist or a test is started."""
    _with_three_streams()
    _with_every_signal()
    _without_foreign_variables()
    os.umask(0o022)


def left_behind(mark: str) -> list[str]:
    """Return the processes that this run has started and that live, as `PID COMMAND`."""
    told = []
    for process in _alive(mark):
        with suppress(psutil.NoSuchProcess):
            told.append(f"{process.pid} {' '.join(process.cmdline())}")
    return told


def _alive(mark: str) -> list[psutil.Process]:
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        # Whoever its parent is by now.
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get(MARK) == mark:
                found[process.pid] = process
    return [process for process in found.values() if _counts(process)]


def _counts(process: psutil.Process) -> bool:
    try:
        # The tracker ends with this process, which has it for as long as it shares memory.
        tracker = any("multiprocessing.resource_tracker" in part for part in process.cmdline())
        return not tracker and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests a home of their own, and end and name what still runs when all of them are through."""
    mark = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        for name, place in _of_pip().items():
            patch.setenv(name, str(place))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            patch.delenv(name, raising=False)
        patch.setenv(MARK, mark)
        yield
        warm.end()
    end = time.monotonic() + GRACE
    while (left := left_behind(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    for process in _alive(mark):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    if left:
        pytest.fail("left running by the tests:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def signals_are_put_back() -> Iterator[None]:
    """Give signals back their handlers: a worker that ran in this process took them, and RQ's keeps them."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def _of_pip() -> dict[str, Path]:
    """Return where the user's home has pip's cache and settings, which tests that install something keep."""
    home = Path.home()
    cache, config = (
        Path(os.environ.get(f"XDG_{kind}_HOME") or home / name) / "pip"
        for kind, name in (("CACHE", ".cache"), ("CONFIG", ".config"))
    )
    found = {"PIP_CACHE_DIR": cache}
    files = [file for file in (config / "pip.conf", home / ".pip" / "pip.conf") if file.exists()]
    if files:
        found["PIP_CONFIG_FILE"] = files[0]
    return {name: place for name, place in found.items() if name not in os.environ}
