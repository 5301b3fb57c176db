"""What a command does when Redis is away, or refuses what it asks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import UNAVAILABLE
from rq_ses.server.refusal import in_words


@contextmanager
def reaching_redis() -> Iterator[None]:
    """End the program with UNAVAILABLE, and in words, where the block has no answer from Redis."""
    try:
        yield
    except RedisError as exc:
        output.echo(f"Error: {in_words(exc)}", err=True)
        sys.exit(UNAVAILABLE)
