"""What the scripts write is what Python reads, and the list's mark never says less than there is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from rq_ses.keys import Keys, keys_of
from rq_ses.server.script import registered
from rq_ses.suppression.entry import REASONS, SINCE, Reason, bucket_key, read_entry

NOW = 1_790_000_000
LONG = "a" * 60 + "@" + "b" * 30 + ".example"


def add(redis: Redis, *rows: tuple[str, str, object, str]) -> list[str]:
    keys = keys_of(redis)
    script: Any = registered(redis, "suppression/suppress", "suppression/add")
    args = [keys.root, *(value for row in rows for value in row)]
    return [word.decode() for word in script(keys=[keys.scratch, keys.suppressed], args=args)]


def remove(redis: Redis, *addresses: str) -> list[int]:
    keys = keys_of(redis)
    script: Any = registered(redis, "suppression/suppress", "suppression/remove")
    found: list[int] = script(keys=[keys.scratch, keys.suppressed], args=[keys.root, *addresses])
    return found


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("address", ["ann@example.com", LONG])
def test_an_entry_is_read_as_it_was_written(redis: Redis, address: str, reason: Reason) -> None:
    assert add(redis, (address, reason, NOW, "NoEmail")) == ["added"]
    value: Any = redis.hget(bucket_key(Keys.default(), address), address)
    assert read_entry(address, value) == (address, reason, datetime.fromtimestamp(NOW, UTC), "NoEmail")


def test_a_short_entry_is_a_number_that_takes_four_bytes(redis: Redis) -> None:
    add(redis, ("ann@example.com", "complaint", 2_114_000_000, ""))
    value: Any = redis.hget(bucket_key(Keys.default(), "ann@example.com"), "ann@example.com")
    assert int(value) == (2_114_000_000 - SINCE) * 4 + 3 < 2**31


def test_the_worse_reason_stays_whatever_comes_first(redis: Redis) -> None:
    rows = [("ann@example.com", reason, NOW + n, "") for n, reason in enumerate(("ses", "bounce", "manual"))]
    assert add(redis, *rows) == ["added", "changed", "known"]
    value: Any = redis.hget(bucket_key(Keys.default(), "ann@example.com"), "ann@example.com")
    assert read_entry("ann@example.com", value)[1:3] == ("bounce", datetime.fromtimestamp(NOW + 1, UTC))


def test_the_mailbox_simulator_is_on_no_list(redis: Redis) -> None:
    assert add(redis, ("bounce+x@simulator.amazonses.com", "bounce", NOW, "")) == ["excepted"]
    assert redis.keys("*") == []


def test_the_mark_is_there_while_there_are_addresses(redis: Redis) -> None:
    mark = Keys.default().suppressed
    add(redis, ("ann@example.com", "bounce", "", ""), (LONG, "bounce", "", ""), (LONG, "ses", "", ""))
    assert redis.get(mark) == b"2"
    assert remove(redis, LONG, "bob@example.com", LONG) == [1, 0, 0]
    assert redis.get(mark) == b"1"
    assert remove(redis, "ann@example.com") == [1]
    assert redis.keys("*") == []


@pytest.mark.parametrize(
    ("value", "reason"), [(b"", "manual"), (b"x", "manual"), (b"7", "complaint"), (b"9" * 30, "manual")]
)
def test_what_somebody_else_has_written_there_is_suppressed_all_the_same(value: bytes, reason: str) -> None:
    assert read_entry("ann@example.com", value).reason == reason
