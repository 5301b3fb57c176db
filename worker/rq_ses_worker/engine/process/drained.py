"""What a burst came to: one line, and whether any of its mails failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from rq_ses import states
from rq_ses.keys import Keys
from rq_ses_worker.logging import events
from rq_ses_worker.server.connection import connect

if TYPE_CHECKING:
    from rq_ses_worker.monitoring.tally import Board

log = logging.getLogger(__name__)


def tell_burst(board: Board, redis_url: str, queues: Sequence[str], partitions: Sequence[Keys] = ()) -> bool:
    """Log what the processes on `board` have done and what they left; tell whether none of it failed."""
    settled = [tally.read().settled for tally in board.tallies]
    sent, failed = (int(sum(counts[action] for counts in settled)) for action in ("sent", "failed"))
    scheduled, left = _left(redis_url, queues, partitions)
    level = logging.WARNING if failed else None
    events.BURST_ENDED.log(log, level=level, sent=sent, failed=failed, scheduled=scheduled, left=left)
    return not failed


def _left(redis_url: str, queues: Sequence[str], partitions: Sequence[Keys]) -> tuple[int | str, int | str]:
    """Return how many mails are scheduled, and queued; "?" if Redis is away."""
    scheduled = queued = 0
    try:
        for keys in partitions or [Keys.default()]:
            with connect(redis_url, keys) as connection:
                for queue in queues:
                    scheduled += int(connection.zcard(keys.registry(states.SCHEDULED, queue)))
                    queued += int(connection.llen(keys.queue(queue)))
    except RedisError:
        return "?", "?"
    return scheduled, queued
