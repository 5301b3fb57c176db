"""Several worker processes under one parent: a process that dies is started anew.

One process of threads uses one core; more cores take more processes.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

from rq_ses_worker.logging import events

log = logging.getLogger(__name__)

QUICK: Final = 10.0
"""Seconds: a process that dies sooner is started anew with a growing pause."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
_POLL: Final = 0.05


@dataclass(slots=True)
class _Slot:
    number: int
    pid: int = 0
    started: float = 0.0
    again_at: float = 0.0
    pause: float = _FIRST_PAUSE
    done: bool = False


class Supervisor:
    """Runs `count` processes of `work` until all have ended by themselves, or a signal ends them.

    A process that exits with 0 (its burst is over, or it was told to stop) isn't started anew, nor is one
    whose code is among `hopeless`: it would end so again.

    Args:
        count: processes.
        work: what each runs, given its number from 1 on; returns its exit code.
        hopeless: exit codes that end them all.
        beside: runs in a process of its own, without a number, for as long as there are others.
        ended: called with the number of a process that has ended, or is about to be started anew.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int], int],
        *,
        hopeless: frozenset[int] = frozenset(),
        beside: Callable[[], None] | None = None,
        ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._work = work
        self._hopeless = hopeless
        self._companion = _Slot(0) if beside else None
        self._beside = beside
        self._on_ended = ended
        self._stopping = False
        self._code = 0
        # Nobody ever writes: its end tells the children that their parent has died.
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Return the exit code: 0, or that of a process that could not be helped."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for slot in self._all:
            self._start(slot)
        while not all(slot.done for slot in self._slots):
            self._reap()
            for slot in self._all:
                if not slot.pid and not slot.done and time.monotonic() >= slot.again_at:
                    self._start(slot)
            time.sleep(_POLL)
        self._dismiss()
        return self._code

    @property
    def _all(self) -> list[_Slot]:
        return [*self._slots, self._companion] if self._companion else self._slots

    def _dismiss(self) -> None:
        """End the companion: nobody is left whose state it could show."""
        if self._companion and self._companion.pid:
            os.kill(self._companion.pid, signal.SIGKILL)
            os.waitpid(self._companion.pid, 0)

    def _stop(self, signum: int, _frame: FrameType | None) -> None:
        self._stopping = True
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, signum)
            else:
                slot.done = True

    def _start(self, slot: _Slot) -> None:
        if self._stopping:
            slot.done = True
            return
        slot.started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal between fork and the assignment of its pid would miss the child.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if not pid:
            self._run_child(slot.number, blocked)
        slot.pid = pid
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _run_child(self, number: int, mask: set[int | signal.Signals]) -> None:
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.close(self._lifeline[1])
            threading.Thread(target=self._end_with_parent, name="lifeline", daemon=True).start()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = self._work(number) if number else self._accompany()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        except BaseException:  # noqa: BLE001 - it is logged, and the process ends
            events.PROCESS_FAILED.log(log, trace=True, process=_named(number))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _accompany(self) -> int:
        # A terminal's Ctrl-C reaches it, too, but it is to show how the others end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self._beside:
            self._beside()
        return 1

    def _end_with_parent(self) -> None:
        os.read(self._lifeline[0], 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _reap(self) -> None:
        for slot in self._all:
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                slot.pid = 0
                if slot.number:
                    self._on_ended(slot.number)
                self._ended(slot, os.waitstatus_to_exitcode(status))

    def _ended(self, slot: _Slot, code: int) -> None:
        if code == 0 or self._stopping:
            slot.done = True
            return
        if code in self._hopeless:
            slot.done = True
            self._code = code
            self._stop(signal.SIGTERM, None)
            return
        if time.monotonic() - slot.started >= QUICK:
            slot.pause = _FIRST_PAUSE
        slot.again_at = time.monotonic() + slot.pause
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        events.PROCESS_RESTARTED.log(log, process=_named(slot.number), how=how, pause=slot.pause)
        slot.pause = min(2 * slot.pause, _LONGEST_PAUSE)


def _named(number: int) -> str:
    return f"worker process {number}" if number else "the monitor's process"
