"""A queue with mails that failed, for the commands that show and move them."""

from __future__ import annotations

from redis import Redis

from support.mails.deadletters import fail, in_doubt, rejected
from support.mails.keys import KEYS
from support.mails.mail import mail


def queued(redis: Redis, queue: str = "mail") -> list[str]:
    return [one.decode() for one in redis.lrange(KEYS.queue(queue), 0, -1)]


def some(redis: Redis) -> list[str]:
    """Three that SES refused, and one it may have."""
    refusals = [*(rejected(f"user{n}@example.com", f"r-{n}") for n in range(3)), in_doubt()]
    return fail(redis, [mail(f"user{n}@example.com") for n in range(4)], refusals, age=7500)
