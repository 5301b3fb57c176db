"""Scripts that are called together."""

from __future__ import annotations

from redis import Redis

from rq_ses_worker.server.scripts import Call, run_together

NOTE = "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LRANGE', KEYS[1], 0, -1)"


def calls_of(redis: Redis, *names: str) -> list[Call]:
    """Return a call of a script of its own for each name, which notes it and tells all that is noted."""
    return [Call(redis.register_script(f"{NOTE} -- {name}"), ["noted"], [name]) for name in names]


def test_calls_run_in_their_order_though_the_server_has_only_some_of_their_scripts(redis: Redis) -> None:
    redis.script_flush()
    redis.script_load(f"{NOTE} -- second")
    calls = calls_of(redis, "first", "second")
    assert run_together(redis, calls) == [[b"first"], [b"first", b"second"]]


def test_a_script_that_the_server_has_forgotten_is_run_all_the_same(redis: Redis) -> None:
    calls = calls_of(redis, "first", "second")
    run_together(redis, calls)
    redis.script_flush()
    redis.delete("noted")
    run_together(redis, calls)
    assert sorted(redis.lrange("noted", 0, -1)) == [b"first", b"second"]
