"""A user of the server who may do what a test says."""

from __future__ import annotations

from redis import Redis

USER = "restricted"


def let(redis: Redis, *rules: str) -> None:
    """Let the user do this and nothing else."""
    redis.execute_command("ACL", "SETUSER", USER, "reset", "on", "nopass", *rules)
