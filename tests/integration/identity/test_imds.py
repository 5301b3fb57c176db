"""An EC2 instance's metadata service, against a stand-in, and beside botocore."""

from __future__ import annotations

from typing import Any

import pytest

from rq_ses_worker.ses.credentials import Credentials
from support.servers.standin import Answer, StandIn
from support.ses.identities import SECRET, TOKEN, instance, ours, role_answer, theirs, unavailable


def test_an_instances_role_comes_last(aws: Any, place: StandIn) -> None:
    instance(place, "mail-role")
    aws(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=f"{place.url}/")
    assert ours() == theirs() == Credentials("ASIAEC2", SECRET, TOKEN)
    token = place.asked[0]
    assert (token.method, token.headers["x-aws-ec2-metadata-token-ttl-seconds"]) == ("PUT", "21600")
    with StandIn({"GET /": (200, role_answer("ASIACONTAINER"))}) as container:
        aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{container.url}/")
        assert ours() == theirs() == Credentials("ASIACONTAINER", SECRET, TOKEN)


def test_version_1_of_the_metadata_service_is_never_asked(aws: Any, place: StandIn) -> None:
    instance(place)
    place.routes["PUT /latest/api/token"] = (403, "")
    aws(AWS_EC2_METADATA_DISABLED="", AWS_EC2_METADATA_SERVICE_ENDPOINT=place.url)
    assert "gives no IMDSv2 token (HTTP 403); IMDSv1 is not used" in str(unavailable())
    assert [asked.method for asked in place.asked] == ["PUT"]


def test_where_nothing_answers_there_is_no_instance(aws: Any) -> None:
    with StandIn() as gone:
        url = gone.url
    aws(AWS_EC2_METADATA_DISABLED="", AWS_EC2_METADATA_SERVICE_ENDPOINT=url)
    refused = unavailable()
    assert refused.lasting
    assert f"nothing answers at {url}: The host refused the connection" in str(refused)


def test_the_metadata_service_is_not_asked_through_a_proxy_or_if_disabled(
    aws: Any, place: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance(place)
    with StandIn() as proxy:
        aws(AWS_EC2_METADATA_SERVICE_ENDPOINT=place.url, http_proxy=proxy.url, RQ_SES_PROXY=proxy.url)
        assert "AWS_EC2_METADATA_DISABLED is true" in str(unavailable())
        assert place.asked == []
        aws(AWS_EC2_METADATA_DISABLED="false")
        assert ours().access_key_id == "ASIAEC2"
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("route", "answer", "said"),
    [
        ("PUT /latest/api/token", (503, "x"), "asked for the token, it answered HTTP 503"),
        ("PUT /latest/api/token", (200, "a\u2028b"), "can't stand in a header"),
        ("GET /latest/meta-data/iam/security-credentials/", (200, ""), "answered nothing"),
        ("GET /latest/meta-data/iam/security-credentials/mailer", (200, "{"), "no JSON"),
        (
            "GET /latest/meta-data/iam/security-credentials/mailer",
            (200, {"Code": "AssumeRoleUnauthorizedAccess", "Message": "no <trust>"}),
            "it refuses: AssumeRoleUnauthorizedAccess: no ‹trust›",
        ),
    ],
)
def test_an_odd_answer_of_the_metadata_service_is_a_passing_failure(
    aws: Any, place: StandIn, route: str, answer: Answer, said: str
) -> None:
    instance(place)
    place.routes[route] = answer
    aws(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=place.url)
    refused = unavailable()
    assert said in str(refused)
    assert not refused.lasting


def test_an_instance_without_a_role_is_told_how_to_get_one(aws: Any, place: StandIn) -> None:
    place.routes["PUT /latest/api/token"] = (200, "t-1")
    aws(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=place.url)
    assert "the instance has no role: attach an instance profile" in str(unavailable())


def test_ended_credentials_of_an_instance_are_used_while_ec2_has_no_others(aws: Any, place: StandIn) -> None:
    instance(place)
    old = {**role_answer("ASIAOLD"), "Expiration": "2020-01-01T00:00:00Z"}
    place.routes["GET /latest/meta-data/iam/security-credentials/mailer"] = (200, old)
    aws(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=place.url)
    assert ours().access_key_id == "ASIAOLD"
