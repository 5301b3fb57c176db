"""A container's credentials endpoint, against a stand-in, and beside botocore."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from rq_ses_worker.ses.credentials import Credentials
from support.servers.standin import Answer, StandIn
from support.ses.identities import KEYS, SECRET, TOKEN, ours, role_answer, source, theirs, unavailable


def test_a_container_endpoint_is_asked_after_the_profiles(aws: Any, shared: Any, place: StandIn) -> None:
    place.routes["GET /creds?role=mailer"] = (200, role_answer())
    aws(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{place.url}/creds?role=mailer",
        AWS_CONTAINER_AUTHORIZATION_TOKEN="Bearer x",
    )
    assert ours() == theirs() == Credentials("ASIAROLE", SECRET, TOKEN)
    assert [asked.headers["authorization"] for asked in place.asked] == ["Bearer x", "Bearer x"]
    shared("[default]\n" + KEYS.format("AKIASHARED"))
    assert ours() == theirs() == Credentials("AKIASHARED", SECRET)


def test_the_file_with_its_token_is_read_each_time_and_wins(aws: Any, place: StandIn, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    place.routes["GET /"] = (200, role_answer())
    aws(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{place.url}/",
        AWS_CONTAINER_AUTHORIZATION_TOKEN="no",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
    )
    assert ours() == theirs()
    found = source()
    used = found.current()
    token.write_text("second\n")
    assert not found.renew(used)
    assert [asked.headers["authorization"] for asked in place.asked] == ["first", "first", "first", "second"]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FULL_URI", "http://metadata.example/x", "is neither https nor at this machine"),
        ("FULL_URI", "http://127.0.0.1.example/x", "is neither https nor at this machine"),
        ("FULL_URI", "http://169.254.169.254/x", "is neither https nor at this machine"),
        ("FULL_URI", "http://user:hunter2@127.0.0.1/x", "is not the URL of a server"),
        ("FULL_URI", "http://metadata.example/x?token=hunter2", "is neither https nor at this machine"),
        ("FULL_URI", "ftp://127.0.0.1/x", "is not the URL of a server"),
        ("FULL_URI", "file:///etc/passwd", "is not the URL of a server"),
        ("FULL_URI", "http://127.0.0.1:99999/x", "is not a URL"),
        ("RELATIVE_URI", "@evil.example/x", "must begin with a slash"),
        ("RELATIVE_URI", ".evil.example/x", "must begin with a slash"),
        ("RELATIVE_URI", "/x\\@evil.example/", "is not the URL of a server"),
    ],
)
def test_other_hosts_are_never_asked_in_the_clear(aws: Any, variable: str, value: str, said: str) -> None:
    aws(**{f"AWS_CONTAINER_CREDENTIALS_{variable}": value})
    with mock.patch("rq_ses_worker.identity.container.exchange", side_effect=AssertionError):
        refused = unavailable()
    assert said in str(refused)
    assert refused.lasting
    assert "hunter2" not in str(refused)


@pytest.mark.parametrize(
    "url",
    ["http://169.254.170.2/x", "http://169.254.170.23/v1", "http://[fd00:ec2::23]/v1", "http://localhost:1/x",
     "http://[::1]:1/x", "https://credentials.example/x"],
)  # fmt: skip
def test_the_hosts_that_aws_names_are_asked(aws: Any, url: str) -> None:
    aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=url)
    with (
        mock.patch("rq_ses_worker.identity.container.exchange", side_effect=KeyError) as asked,
        pytest.raises(KeyError),
    ):
        ours()
    assert asked.call_args.args[1] == url


def test_the_relative_address_wins_over_the_full_one(aws: Any) -> None:
    aws(
        AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/id",
        AWS_CONTAINER_CREDENTIALS_FULL_URI="http://localhost/x",
    )
    with (
        mock.patch("rq_ses_worker.identity.container.exchange", side_effect=KeyError) as asked,
        pytest.raises(KeyError),
    ):
        ours()
    assert asked.call_args.args[1] == "http://169.254.170.2/v2/id"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, f"<b>{SECRET}"), "answered HTTP 500"),
        ((307, ""), "answered HTTP 307"),
        ((200, SECRET), "no JSON"),
        ((200, "[]"), "is not a JSON object"),
        ((200, {"AccessKeyId": "A", "SecretAccessKey": SECRET}), "no Token, no Expiration"),
        ((200, {**role_answer(), "Token": f"{TOKEN}\r\nX: y"}), "session_token holds white space"),
        ((200, {**role_answer(), "SecretAccessKey": [SECRET]}), "secret_access_key must be a str"),
        ((200, {**role_answer(), "Expiration": 5}), "no date and time"),
        ((200, b"x" * 200_000), "is longer than 65536 bytes"),
    ],
)
def test_an_odd_answer_of_a_container_endpoint_is_a_passing_failure(
    aws: Any, place: StandIn, answer: Answer, said: str
) -> None:
    place.routes["GET /"] = answer
    aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{place.url}/")
    refused = unavailable()
    assert not refused.lasting
    assert said in str(refused)
