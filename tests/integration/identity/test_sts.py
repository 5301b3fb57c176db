"""Roles that STS gives, against a stand-in, and beside botocore."""

from __future__ import annotations

import logging
import ssl
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from rq_ses_worker.identity.sts import Sts
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.wire.route import Route
from support.servers.certificates import CA, CERTIFICATE_AND_KEY
from support.servers.sockets import Answering, Server
from support.servers.standin import Answer, StandIn
from support.ses.identities import (
    KEYS,
    ROLE,
    SECRET,
    TOKEN,
    instance,
    ours,
    role_answer,
    source,
    sts,
    sts_answer,
    theirs,
    unavailable,
)


def test_a_web_identity_of_the_environment_assumes_its_role(
    web: Any, place: StandIn, shared: Any, tmp_path: Path
) -> None:
    shared("[default]\n" + KEYS.format("AKIASHARED"))
    web(
        AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "web token"),
        AWS_ROLE_ARN=ROLE,
        AWS_ROLE_SESSION_NAME="worker-1",
    )
    assert ours() == theirs() == Credentials("ASIABYWEB", SECRET, TOKEN)
    asked = [parse_qs(one.body.decode()) for one in place.asked]
    assert asked[0]["WebIdentityToken"] == ["web.identity.token-of-the-tests"]
    asked[1]["WebIdentityToken"] = [asked[1]["WebIdentityToken"][0].strip()]
    assert asked[0] == asked[1]
    assert "authorization" not in place.asked[0].headers


def test_a_web_identity_of_a_profile_assumes_its_role(
    web: Any, place: StandIn, config: Any, tmp_path: Path
) -> None:
    config(f"[profile mail]\nweb_identity_token_file = {tmp_path / 'web token'}\nrole_arn = {ROLE}\n")
    web(AWS_PROFILE="mail")
    assert ours() == theirs() == Credentials("ASIABYWEB", SECRET, TOKEN)
    assert parse_qs(place.asked[0].body.decode())["RoleSessionName"][0].startswith("rq-ses-")


def test_a_role_is_assumed_with_the_keys_of_another_profile(
    web: Any, place: StandIn, config: Any, shared: Any
) -> None:
    shared("[base]\n" + KEYS.format("AKIABASE"))
    config(
        f"[profile mail]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = x-1\n"
        "duration_seconds = 1800\nrole_session_name = mail\n" + KEYS.format("AKIAOWN")
    )
    web(AWS_PROFILE="mail")
    assert ours() == theirs() == Credentials("ASIABYAKIABASE", SECRET, TOKEN)
    asked = [parse_qs(one.body.decode()) for one in place.asked]
    assert asked[0] == asked[1]
    assert asked[0]["DurationSeconds"] == ["1800"]


def test_the_call_for_a_role_is_signed_as_botocore_signs_it(web: Any, place: StandIn, config: Any) -> None:
    config(f"[default]\nrole_arn = {ROLE}\nsource_profile = default\n" + KEYS.format("AKIAOWN"))
    assert ours() == theirs() == Credentials("ASIABYAKIAOWN", SECRET, TOKEN)
    asked = place.asked[0]
    request = AWSRequest("POST", f"{place.url}/", {"Content-Type": asked.headers["content-type"]}, asked.body)
    now = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(BotoCredentials("AKIAOWN", SECRET), "sts", "eu-west-1").add_auth(request)
    assert asked.headers["authorization"] == request.headers["Authorization"]


def test_a_chain_of_roles_is_followed_and_a_circle_is_not(web: Any, config: Any) -> None:
    role = f"role_arn = {ROLE}\nsource_profile = "
    chain = f"[profile a]\n{role}b\n[profile b]\n{role}"
    web(AWS_PROFILE="a")
    config(chain + "c\n[profile c]\n" + KEYS.format("AKIAC"))
    assert ours() == theirs() == Credentials("ASIABYASIABYAKIAC", SECRET, TOKEN)
    config(chain + "a\n")
    with pytest.raises(Exception, match=r"[Ii]nfinite loop"):
        theirs()
    assert "leads back to a: break the circle" in str(unavailable())


def test_a_role_is_assumed_with_what_a_container_or_an_instance_has(
    web: Any, place: StandIn, config: Any
) -> None:
    config(f"[default]\nrole_arn = {ROLE}\ncredential_source = EcsContainer\n")
    place.routes["GET /creds"] = (200, role_answer("ASIACONTAINER"))
    web(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{place.url}/creds")
    assert ours() == theirs() == Credentials("ASIABYASIACONTAINER", SECRET, TOKEN)
    instance(place)
    place.routes["GET /latest/meta-data/iam/security-credentials/"] = (200, "mailer")
    config(f"[default]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n")
    web(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=place.url)
    assert ours() == theirs() == Credentials("ASIABYASIAEC2", SECRET, TOKEN)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "neither source_profile nor credential_source"),
        (
            "source_profile = base\ncredential_source = Environment\n",
            "both source_profile and credential_source",
        ),
        ("source_profile = nobody\n", "no profile 'nobody'"),
        ("source_profile = empty\n", "profile empty has no credentials"),
        ("source_profile = sso\n", "profile sso signs in by SSO"),
        ("credential_source = Environment\n", "AWS_ACCESS_KEY_ID is not set"),
        ("credential_source = Moon\n", "credential_source 'Moon'"),
        ("credential_source = EcsContainer\n", "container endpoint has no credentials"),
        ("source_profile = base\nmfa_serial = arn:mfa\n", "asks for an MFA code"),
    ],
)
def test_a_role_that_cannot_be_assumed_ends_the_search(web: Any, config: Any, lines: str, said: str) -> None:
    config(
        f"[default]\nrole_arn = {ROLE}\n{lines}{KEYS.format('AKIAOWN')}"
        f"[profile base]\n{KEYS.format('AKIABASE')}"
        "[profile empty]\nregion = x\n[profile sso]\nsso_account_id = 1\n"
    )
    refused = unavailable()
    assert said in str(refused)
    assert refused.lasting


DENIED = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code>"
    "<Message>No &lt;b&gt; for web.identity.token-of-the-tests</Message></Error></ErrorResponse>"
)
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x><Code>&b;</Code></x>'
FETCH = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x><Message>&a;</Message></x>'


@pytest.mark.parametrize(
    ("answer", "said", "lasting"),
    [
        ((403, DENIED.format("AccessDenied")), "HTTP 403 AccessDenied: No ‹b› for ***", True),
        ((400, DENIED.format("ExpiredTokenException")), "HTTP 400 ExpiredTokenException", False),
        ((400, DENIED.format("IDPCommunicationError")), "HTTP 400 IDPCommunicationError", False),
        ((500, ""), "HTTP 500", False),
        ((302, ""), "HTTP 302", False),
        ((400, BOMB), "HTTP 400", True),
        ((400, FETCH), "HTTP 400", True),
        ((200, BOMB), "no AccessKeyId", False),
        ((200, "<html>"), "no AccessKeyId", False),
        ((200, b"\xff" * 100), "no AccessKeyId", False),
        ((200, '<?xml version="1.0" encoding="rot13"?><x/>'), "no AccessKeyId", False),
        ((200, "<a>" * 20_000), "no AccessKeyId", False),
        ((200, b" " * 100_000), "is longer than 65536 bytes", False),
        ((200, sts_answer("X", expiration="2020-01-01T00:00:00Z")), "ended at 2020-01-01", False),
        ((200, sts_answer("X", expiration="")), "no Expiration", False),
    ],
)
def test_what_sts_refuses_is_told_without_the_token(
    web: Any, place: StandIn, tmp_path: Path, answer: Answer, said: str, lasting: bool
) -> None:
    place.routes["POST /"] = answer
    web(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "web token"), AWS_ROLE_ARN=ROLE)
    refused = unavailable()
    assert said in str(refused)
    assert refused.lasting is lasting
    for hidden in ("web.identity.token", "aaaaaaaaaa", "root:"):
        assert hidden not in str(refused)


def test_a_web_identity_needs_a_role_and_a_token(web: Any, tmp_path: Path) -> None:
    web(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "nowhere"))
    assert "no role: set AWS_ROLE_ARN" in str(unavailable())
    web(AWS_ROLE_ARN=ROLE)
    assert "nowhere cannot be read: No such file" in str(unavailable())
    (tmp_path / "nowhere").write_text("\n")
    assert "nowhere is empty" in str(unavailable())


def test_sts_is_not_asked_in_the_clear_elsewhere(web: Any, tmp_path: Path) -> None:
    web(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "web token"), AWS_ROLE_ARN=ROLE)
    web(AWS_ENDPOINT_URL_STS="http://sts.example/")
    with mock.patch("rq_ses_worker.identity.sts.exchange", side_effect=AssertionError):
        assert "AWS_ENDPOINT_URL_STS 'http://sts.example/' is not encrypted" in str(unavailable())


def test_sts_is_asked_through_the_proxy_of_the_settings(web: Any, place: StandIn, tmp_path: Path) -> None:
    web(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "web token"), AWS_ROLE_ARN=ROLE)
    with StandIn({f"POST {place.url}/": sts}) as proxy:
        web(RQ_SES_PROXY=proxy.url, http_proxy="http://127.0.0.1:1")
        assert ours().access_key_id == "ASIABYWEB"
        assert (len(proxy.asked), len(place.asked)) == (1, 0)


def test_no_secret_is_logged(
    web: Any, place: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rq_ses_worker")
    web(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "web token"), AWS_ROLE_ARN=ROLE)
    found = source()
    used = found.current()
    place.routes["POST /"] = (403, DENIED.format("AccessDenied"))
    assert not found.renew(used)
    assert "could not be fetched: no AWS credentials (web identity of the environment: Assume" in caplog.text
    for hidden in (SECRET, TOKEN, "web.identity.token"):
        assert hidden not in caplog.text + repr(found) + str(found)


def test_sts_over_http_is_reached_through_a_proxy_that_speaks_tls(tmp_path: Path) -> None:
    bundle, key = tmp_path / "ca.pem", tmp_path / "server.pem"
    bundle.write_text(CA)
    key.write_text(CERTIFICATE_AND_KEY)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(key)
    answer = sts_answer("AssumeRoleWithWebIdentity").encode()
    forwarding = Answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
    with Server(forwarding, tls) as proxy:
        route = Route(f"https://localhost:{proxy.port}", str(bundle))
        there = Sts("http://sts.localhost:9/", "eu-west-1", route=route)
        grant = there.ask("AssumeRoleWithWebIdentity", {"WebIdentityToken": "web.identity.token"})
    assert grant.credentials.access_key_id == "ASIASTS"
    assert forwarding.requests[0].startswith(b"POST http://sts.localhost:9/ HTTP/1.1\r\n")
