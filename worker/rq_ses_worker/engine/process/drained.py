"""What a burst came to: one line, and whether any of its mails failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from rq_ses import states
from rq_ses.keys import keys_of
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.tally import Board
from rq_ses_worker.server.connection import connect

log = logging.getLogger(__name__)


def tell_burst(board: Board, redis_url: str, queues: Sequence[str]) -> bool:
    """Log what the processes on `board` have done and what they left; tell whether none of it failed."""
    settled = [tally.read().settled for tally in board.tallies]
    sent, failed = (int(sum(counts[action] for counts in settled)) for action in ("sent", "failed"))
    scheduled, left = _left(redis_url, queues)
    level = logging.WARNING if failed else None
    events.BURST_ENDED.log(log, level=level, sent=sent, failed=failed, scheduled=scheduled, left=left)
    return not failed


def _left(redis_url: str, queues: Sequence[str]) -> tuple[int | str, int | str]:
    """Return how many mails are scheduled, and queued; "?" if Redis is away."""
    with suppress(RedisError), connect(redis_url) as connection:
        keys = keys_of(connection)
        scheduled = [int(connection.zcard(keys.registry(states.SCHEDULED, queue))) for queue in queues]
        return sum(scheduled), sum(int(connection.llen(keys.queue(queue))) for queue in queues)
    return "?", "?"
