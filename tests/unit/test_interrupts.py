"""What Ctrl-C does to a step whose outcome is to be counted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from rq_ses.interrupts import interrupts_held


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def step(done: list[str], interrupts: int, error: Exception | None = None) -> None:
    with interrupts_held():
        for _ in range(interrupts):
            signal.raise_signal(signal.SIGINT)
        if error:
            raise error
        done.append("the step")


def test_an_interrupt_takes_effect_when_the_step_is_done() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        step(done, interrupts=1)
    assert done == ["the step"]


def test_a_second_interrupt_ends_a_step_that_hangs() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        step(done, interrupts=2)
    assert done == []


def test_after_the_step_an_interrupt_takes_effect_at_once_again() -> None:
    step([], interrupts=0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_error_of_a_step_that_was_interrupted_is_seen() -> None:
    with pytest.raises(ConnectionError):
        step([], interrupts=1, error=ConnectionError())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_ignores_interrupts_is_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_held():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_changes_no_handler() -> None:
    seen = []

    def look() -> None:
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
