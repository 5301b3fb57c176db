"""How `rq-ses feedback` ends: also when what reads its queue breaks off, for nobody would see that."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from rq_ses_worker.feedback.command import Serving


class Breaking:
    busy = False

    def run(self) -> None:
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_a_reader_breaks_off_all_ends_and_says_so() -> None:
    serving: Any = object.__new__(Serving)
    serving._stop, serving._broken, serving._server, serving._readers = (
        threading.Event(),
        False,
        None,
        [Breaking()],
    )
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with pytest.raises(SystemExit) as ended:
            serving.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code == 1
