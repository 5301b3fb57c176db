"""Whether hooks are told of outcomes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from redis import Redis

from rq_ses.keys import keys_of
from rq_ses.outcomes import backlog
from rq_ses.server.serverclock import epoch
from rq_ses.status.view import LATE
from rq_ses.text.figures import counted, duration
from rq_ses_worker.doctor.finding import Finding, ok


def check_hooks(client: Redis) -> Iterator[Finding]:
    """Yield what each group of hooks has yet to be told; nothing where there are none."""
    asked: Any = client.pipeline(transaction=False)
    with asked as pipeline:
        pipeline.time()
        backlog.ask(pipeline, keys_of(client).outcomes)
        now, *answers = pipeline.execute(raise_on_error=False)
    at = epoch(now) if isinstance(now, tuple | list) else time.time()
    for one in backlog.read((answers[0], answers[1], answers[2]), at):
        waits = f"{one.group} has yet to be told {counted(one.waiting, 'outcome', 'outcomes')}"
        if one.oldest is not None and one.oldest > LATE:
            yield Finding(
                "hooks.backlog",
                "warning",
                f"{waits}, the oldest for {duration(one.oldest)}",
                "see the log of what tells it (hook.refused); if nobody reads for it any more: "
                f"redis-cli XGROUP DESTROY {keys_of(client).outcomes} '{one.group}'",
            )
        else:
            yield ok("hooks.backlog", waits)
