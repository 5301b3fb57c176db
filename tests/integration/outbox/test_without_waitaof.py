"""durable=True where the server has no WAITAOF: Redis before 7.2, and one whose owner has taken it away."""

from __future__ import annotations

import logging

import pytest
from redis import Redis

from rq_ses import DurabilityUnconfirmed, Outbox
from support.mails.mail import mail, status
from support.servers.valkey import client, serving, url
from support.waiting import wait_for


@pytest.fixture
def without(redis: Redis) -> dict[str, str]:
    """The configuration of a server that lacks it."""
    known = redis.command_list(pattern="waitaof")
    return {"rename-command": 'WAITAOF ""'} if known else {}


def test_a_server_without_waitaof_is_refused_before_anything_is_enqueued(without: dict[str, str]) -> None:
    with serving({**without, "appendonly": "yes"}) as server, client(server) as redis:
        with pytest.raises(DurabilityUnconfirmed, match=r"since 7.2.*; nothing was enqueued"):
            Outbox(redis).send(mail(), durable=True)
        assert redis.keys("*") == []


def test_without_waitaof_replicas_alone_are_waited_for_and_the_log_says_so(
    without: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serving({**without, "repl-diskless-sync-delay": "0"}) as first,
        serving({"replicaof": f"127.0.0.1 {first.port}"}) as second,
        client(second) as copy,
    ):
        wait_for(lambda: copy.info("replication").get("master_link_status") == "up")
        with caplog.at_level(logging.WARNING):
            job_id = Outbox(url(first), durable_replicas=1).send(mail(), durable=True).job_id
        assert "only its replicas are waited for" in caplog.text
        assert status(copy, job_id) == "queued"
