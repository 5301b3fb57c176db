"""A partition whose server is away: it is named, and the others are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from redis import Redis
from redis.exceptions import RedisError

from rq_ses.cli.status import status
from rq_ses.keys import Keys
from rq_ses.server.connection import connect
from rq_ses.server.partitions import Partitions
from rq_ses.server.refusal import in_words
from rq_ses.status.whole import read_whole
from support.servers.ports import free_port


@contextmanager
def partitions_at(first: str, second: str, own: str) -> Iterator[Partitions]:
    one, two, three = (
        connect(url, socket_timeout=1, connect_timeout=1, keys=Keys(prefix))
        for url, prefix in zip((first, second, own), ("{a}", "{b}", "rq"), strict=True)
    )
    with Partitions([one, two], three) as partitions:
        yield partitions


@pytest.fixture
def away() -> str:
    """The URL of a server that is away."""
    return f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def filled(redis: Redis, redis_url: str) -> str:
    """The URL of a server with two mails in the second partition."""
    redis.rpush("{b}:queue:mail", "a", "b")
    return redis_url


def test_whoever_wants_all_is_told_which_is_away(filled: str, away: str) -> None:
    with partitions_at(filled, away, filled) as partitions, pytest.raises(RedisError) as caught:
        read_whole(partitions, ["mail"])
    assert in_words(caught.value).startswith("partition {b}: Redis did not answer (ConnectionError")


def test_the_others_are_shown_as_long_as_there_is_one(filled: str, away: str) -> None:
    with partitions_at(away, filled, filled) as partitions:
        found = read_whole(partitions, ["mail"], partly=True)
    assert (found.queues[0].queued, [one.prefix for one in found.partitions]) == (2, ["{b}"])
    [untold] = found.refused
    assert str(untold) == "{a}: what stands there, which isn't counted"
    assert untold.reason.startswith("ConnectionError")
    with partitions_at(away, away, filled) as partitions, pytest.raises(RedisError) as caught:
        read_whole(partitions, ["mail"], partly=True)
    assert in_words(caught.value).startswith("partition {a}: Redis did not answer (ConnectionError")


def test_where_what_is_one_for_all_is_away_the_partitions_are_shown(filled: str, away: str) -> None:
    with partitions_at(filled, filled, away) as partitions:
        found = read_whole(partitions, ["mail"], account=("default", "us-east-1"))
    assert (found.queues[0].queued, found.gates) == (2, ())
    assert [str(untold) for untold in found.refused] == [
        "rq: account default in us-east-1",
        "rq: the names of all queues",
    ]


def test_status_shows_the_others_and_says_what_is_missing(
    filled: str, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with partitions_at(away, filled, filled) as partitions:
        monkeypatch.setattr(Partitions, "at", lambda *_, **__: partitions)
        done = CliRunner().invoke(status, ["--json", "--sample", "0"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["queues"][1]["queued"] == 2
    assert done.stderr.startswith("Error: {a}: what stands there, which isn't counted: ConnectionError")
