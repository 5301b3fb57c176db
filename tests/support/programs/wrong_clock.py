"""The ordinary command on a host whose clock is off: `wrong_clock.py SECONDS worker [OPTIONS]`."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Self

import rq_ses_worker.engine.process.building  # noqa: F401 - loads what is to be set wrong
from rq_ses.cli import main

OFF = timedelta(seconds=float(sys.argv[1]) if __name__ == "__main__" else 0.0)
right_time = time.time


class Wrong(datetime):
    """A datetime whose now is off."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + OFF


def wrong_time() -> float:
    return right_time() + OFF.total_seconds()


if __name__ == "__main__":
    time.time = wrong_time
    for name, module in list(sys.modules.items()):
        if (
            name.partition(".")[0] in ("rq", "rq_ses", "rq_ses_worker")
            and vars(module).get("datetime") is datetime
        ):
            module.datetime = Wrong  # type: ignore[attr-defined]
    main(sys.argv[2:])
