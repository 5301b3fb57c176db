"""What processes cost, as Linux counts it in /proc, and on which cores they run."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """Return the core for the worker and the one for everything else (the same if there is only one)."""
    available = sorted(_ALLOWED)
    return available[-1], available[0]


_ALLOWED = frozenset(os.sched_getaffinity(0))


def busy_seconds(core: int) -> float:
    """Return the time for which a core was not idle since the machine started, stolen time included."""
    for line in (_PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) / _TICK
    raise ValueError(f"/proc/stat knows no core {core}")


def family(pid: int) -> list[int]:
    """Return `pid` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, its living descendants and those it has waited for."""
    # utime, stime, and the same of children that were waited for
    return sum(int(field) for member in family(pid) for field in _stat(member)[11:15]) / _TICK


def run_seconds(pid: int) -> float:
    """Return the time for which the living threads of one process ran, to the nanosecond.

    The scheduler's own count: user and system time come in ticks of 10 ms. A thread that is running just now
    is counted up to its last tick.
    """
    total = 0
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


def waited_seconds(pid: int) -> float:
    """Return the user and system time of the ended children that a process has waited for."""
    return sum(int(field) for field in _stat(pid)[13:15]) / _TICK


def own_cpu_seconds(pid: int) -> float:
    """Return the user and system time of one process alone."""
    return sum(int(field) for field in _stat(pid)[11:13]) / _TICK


def peak_rss(pid: int) -> int:
    """Return the bytes of memory that a process and its living descendants held at most, added up."""
    return _memory(pid, "VmHWM:")


def rss(pid: int) -> int:
    """Return the bytes of memory that a process and its living descendants hold, added up."""
    return _memory(pid, "VmRSS:")


def _memory(pid: int, field: str) -> int:
    total = 0
    for member in family(pid):
        try:
            status = (_PROC / str(member) / "status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith(field):
                total += int(line.split()[1]) * 1024
    return total


def pin(pid: int, allowed: Collection[int]) -> None:
    """Let every thread of one process run on the given cores alone."""
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), allowed)
        except ProcessLookupError:
            continue


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, …; none if it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
