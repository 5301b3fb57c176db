"""The hash of an account's gate: spoilt, refused, forgotten, and read."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from rq_ses.gate import read_gate
from support.mails.gate import BUSY, KEY, PAUSED, SENT, Story
from support.waiting import wait_for


def test_a_hash_that_is_none_is_named(account: Story) -> None:
    account.redis.set(KEY, "text")
    account.enqueue(1)
    with pytest.raises(ResponseError, match=f"{KEY} is no hash: delete it"):
        account.ours.claim(1)


def test_outcomes_are_written_even_if_the_gate_cannot_learn_of_them(
    account: Story, caplog: pytest.LogCaptureFixture
) -> None:
    account.enqueue(2)
    claims, _ = account.ours.claim(2)
    account.redis.delete(KEY)
    account.redis.set(KEY, "text")
    # Nor does the server know the scripts.
    account.redis.script_flush()
    assert account.end(claims, SENT, BUSY) == ["done", "done"]
    assert f"can't learn how attempts ended: WRONGTYPE {KEY}" in caplog.text


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(account: Story) -> None:
    account.enqueue(1)
    claims, _ = account.ours.claim(1)
    account.redis.script_flush()
    assert account.end(claims, PAUSED) == ["done"]
    assert account.gate.breaker == "open"


def test_a_packed_field_of_garbage_begins_anew(account: Story) -> None:
    account.redis.hset(KEY, mapping={"flow": "garbage", "fails": "x", "opened": "y", "state": "z"})
    account.enqueue(3)
    assert len(account.ours.claim(3)[0]) == 3
    assert account.gate.breaker == "closed"


# Reading


def test_the_rate_in_use_is_that_of_the_last_seconds(account: Story) -> None:
    account.enqueue(40, recipients=2)
    claimed = len(account.ours.claim(10)[0])
    account.passes(1.0)
    claimed += len(account.ours.claim(10)[0])
    assert account.gate.rate_in_use == pytest.approx(2 * claimed, rel=0.2)
    account.passes(10)
    assert account.gate.rate_in_use == 0


def test_reading_changes_nothing(account: Story) -> None:
    assert read_gate(account.redis, "nobody", "nowhere").breaker == "closed"
    assert account.redis.keys("*") == []
    account.opened()
    before = account.redis.hgetall(KEY)
    wait_for(lambda: account.gate.open_for)
    assert account.redis.hgetall(KEY) == before
