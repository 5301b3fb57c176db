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
    ticks = 0
    for member in family(pid):
        fields = _stat(member)
        # utime, stime, and the same of children that were waited for
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICK


def peak_rss(pid: int) -> int:
    """Return the bytes of memory that a process and its living descendants held at most, added up."""
    total = 0
    for member in family(pid):
        try:
            status = (_PROC / str(member) / "status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
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
