"""The doctor's questions to SES by its client, and what it finds of hooks."""

from __future__ import annotations

import socket

import pytest
from redis import Redis

from rq_ses.keys import Keys
from rq_ses.message.message import Message
from rq_ses_worker.doctor.hooks import check_hooks
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import Sent
from rq_ses_worker.ses.sigv4 import Credentials
from rq_ses_worker.ses.wire.deadline import Timeout
from rq_ses_worker.ses.wire.route import Route
from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import KEY_ID, SECRET, TOKEN

MAIL = Message(sender="a@example.com", to=["b@example.com"], subject="Hello", text="Body")


def test_questions_and_mails_share_one_client(ses: SimulatorServer) -> None:
    credentials = Credentials(KEY_ID, SECRET, TOKEN)
    with SesClient(credentials, Endpoint("us-east-1", f"{ses.url}/prefix/of a/gateway")) as client:
        assert client.get_account().production_access
        assert isinstance(client.send(MAIL), Sent)
        identity = client.get_email_identity("example.com")
        assert identity is not None
        assert identity.verified_for_sending
        assert client.get_email_identity("anna+x/y@example.com") is None
        assert isinstance(client.send(MAIL), Sent)
    assert [request.verdict for request in ses.requests] == ["ok"] * 5
    assert {request.path.startswith("/prefix/of%20a/gateway/v2/email/") for request in ses.requests} == {True}


def test_a_configuration_sets_topics_are_asked_for() -> None:
    topics = ("news=arn:aws:sns:us-east-1:123456789012:feedback", "quiet")
    credentials = Credentials(KEY_ID, SECRET, TOKEN)
    with (
        SimulatorServer(KEY_ID, SECRET, TOKEN, configuration_set=topics) as ses,
        SesClient(credentials, Endpoint("us-east-1", ses.url)) as client,
    ):
        [found] = client.get_event_destinations("news") or ()
        assert (found.service, found.target, found.enabled) == ("SNS", topics[0].partition("=")[2], True)
        assert {"BOUNCE", "COMPLAINT"} <= set(found.events)
        assert client.get_event_destinations("quiet") == ()
        assert client.get_event_destinations("a/nother one") is None
        assert [request.verdict for request in ses.requests] == ["ok"] * 3


def test_a_question_goes_through_an_http_proxy_by_its_whole_url(ses: SimulatorServer) -> None:
    credentials = Credentials(KEY_ID, SECRET, TOKEN)
    # The simulator takes the place of the proxy, too: it reads the path out of the whole URL.
    endpoint = Endpoint("us-east-1", "http://ses.example.com", allow_http=True)
    with SesClient(credentials, endpoint, Route(proxy=ses.url)) as client:
        assert client.get_account().sending_enabled
        assert client.get_email_identity("example.com") is not None
        assert isinstance(client.send(MAIL), Sent)
    assert [request.verdict for request in ses.requests] == ["ok"] * 3


def test_an_account_that_does_not_answer_in_time_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        SesClient(
            Credentials(KEY_ID, SECRET),
            Endpoint("us-east-1", f"http://127.0.0.1:{listener.getsockname()[1]}"),
            timeout=Timeout(0.2),
        ) as client,
        pytest.raises(AccountRefused, match=r"ReadTimeout: No answer within 0\.2 s\.$"),
    ):
        client.get_account()


def test_hooks_that_are_not_told_are_warned_of(redis: Redis) -> None:
    assert list(check_hooks(redis)) == []
    outcomes = Keys("rq").outcomes
    redis.xadd(outcomes, {"outcome": "{}"}, id="1-1")
    redis.xgroup_create(outcomes, "webhook", id="0")
    redis.xgroup_create(outcomes, "django", id="$")
    told = {finding.text.split()[0]: finding for finding in check_hooks(redis)}
    assert {group: finding.severity for group, finding in told.items()} == {
        "django": "ok",
        "webhook": "warning",
    }
    assert "1 outcome, the oldest for" in told["webhook"].text
    assert "XGROUP DESTROY rq:ses:outcomes 'webhook'" in told["webhook"].remedy
