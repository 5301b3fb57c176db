"""Each place that credentials come from, against a stand-in, and beside botocore in the same environment."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from rq_ses_worker.identity.chain import Chain
from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from rq_ses_worker.settings.worker import load_worker_settings
from support.servers.standin import Answer, Asked, StandIn

SECRET = "secret/of+the/tests/0123456789abcdefghij"
TOKEN = "IQoJb3JpZ2luX2VjEOf//////////wExampleOfTheTests=="
KEYS = f"aws_access_key_id = {{}}\naws_secret_access_key = {SECRET}\n"
ROLE = "arn:aws:iam::123456789012:role/mailer"
EXPIRATION = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An environment without AWS's settings, in which the caller sets some; no real metadata is asked."""
    for name in list(os.environ):
        if name.upper().startswith(("RQ_SES_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return _writer(tmp_path / ".aws" / "config")


@pytest.fixture
def shared(tmp_path: Path) -> Any:
    return _writer(tmp_path / ".aws" / "credentials")


def _writer(path: Path) -> Any:
    def write(text: str) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        return path

    return write


@pytest.fixture
def place() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


def source() -> CredentialSource:
    return load_worker_settings().credentials()


def ours() -> Credentials:
    return source().current()


def theirs() -> Credentials:
    """What botocore's chain finds."""
    found = botocore.session.Session().get_credentials().get_frozen_credentials()
    return Credentials(found.access_key, found.secret_key, found.token or None)


def unavailable() -> CredentialsUnavailable:
    with pytest.raises(CredentialsUnavailable) as caught:
        ours()
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return caught.value


def role_answer(key_id: str = "ASIAROLE") -> dict[str, str]:
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": key_id,
        "SecretAccessKey": SECRET,
        "Token": TOKEN,
        "Expiration": EXPIRATION,
    }


def sts_answer(action: str, key_id: str = "ASIASTS", expiration: str = EXPIRATION) -> str:
    return f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
      <AssumedRoleUser><Arn>{ROLE}/x</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
      <Credentials><AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>
      <SessionToken>{TOKEN}</SessionToken><Expiration>{expiration}</Expiration></Credentials>
      </{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"""


def sts(asked: Asked) -> Answer:
    """Answer as STS; the key says which credentials signed, if any."""
    action = parse_qs(asked.body.decode())["Action"][0]
    signer = asked.headers.get("authorization", "=WEB/").split("=", 1)[1].split("/")[0]
    return 200, sts_answer(action, f"ASIABY{signer}")


def command(tmp_path: Path, code: str, *arguments: str) -> str:
    script = tmp_path / "print credentials.py"
    script.write_text(code)
    return shlex.join([sys.executable, str(script), *arguments])


PRINTS = f"""
import json, sys
print(json.dumps({{"Version": 1, "AccessKeyId": sys.argv[1], "SecretAccessKey": {SECRET!r},
                  "SessionToken": {TOKEN!r}, "Expiration": {EXPIRATION!r}}}))
"""


# The environment and the shared files


def test_keys_of_the_environment_come_first(aws: Any, shared: Any) -> None:
    shared("[default]\n" + KEYS.format("AKIAFILE"))
    aws(
        AWS_ACCESS_KEY_ID="AKIAENV",
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_SESSION_TOKEN=TOKEN,
        AWS_PROFILE="default",
    )
    assert ours() == theirs() == Credentials("AKIAENV", SECRET, TOKEN)
    assert str(source()) == "the environment (AKIAENV)"


def test_keys_of_the_environment_end_when_they_say_so(aws: Any) -> None:
    aws(AWS_ACCESS_KEY_ID="AKIAENV", AWS_SECRET_ACCESS_KEY=SECRET, AWS_CREDENTIAL_EXPIRATION=EXPIRATION)
    assert ours() == theirs()
    found = source()
    found.current()
    assert found.expires == datetime.fromisoformat(EXPIRATION)
    aws(AWS_CREDENTIAL_EXPIRATION="2001-01-01T00:00:00Z")
    assert "the environment: what it gives ended at 2001-01-01 00:00:00 UTC" in str(unavailable())


@pytest.mark.parametrize(
    "text",
    [
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = x\n"
        f"[mail]\n{KEYS.format('AKIAMAIL')}aws_session_token = {TOKEN}\n",
        f"# a comment\r\n[mail]\r\naws_access_key_id=AKIAMAIL\r\naws_secret_access_key={SECRET}\r\n"
        f"; another\r\naws_session_token={TOKEN}\r\n",
        f"[mail]\nAWS_ACCESS_KEY_ID : AKIAMAIL\n\n\naws_secret_access_key\t=\t{SECRET}   \n"
        f"aws_security_token = {TOKEN}\nregion =\ns3 =\n  max_concurrent_requests = 20\n",
    ],
    ids=["two profiles", "CRLF and comments", "colons, capitals, blanks, nested"],
)
def test_a_profile_of_the_credentials_file_is_read_as_botocore_reads_it(
    aws: Any, shared: Any, text: str
) -> None:
    path = shared(text)
    aws(AWS_PROFILE="mail")
    assert ours() == theirs() == Credentials("AKIAMAIL", SECRET, TOKEN)
    found = source()
    found.current()
    assert str(found) == f"shared credentials file {path}, profile mail (AKIAMAIL)"
    assert SECRET not in repr(found)


@pytest.mark.parametrize("section", ["profile mail", "profile 'mail'", 'profile "mail"', "profile   mail"])
def test_a_profile_of_the_config_file_needs_its_word(aws: Any, config: Any, section: str) -> None:
    config(f"[{section}]\n" + KEYS.format("AKIACONFIG"))
    aws(AWS_PROFILE="mail")
    assert ours() == theirs() == Credentials("AKIACONFIG", SECRET)


def test_without_the_word_a_section_is_no_profile(aws: Any, config: Any) -> None:
    path = config("[mail]\n" + KEYS.format("AKIACONFIG"))
    aws(AWS_PROFILE="mail")
    with pytest.raises(Exception, match="profile"):
        theirs()
    refused = unavailable()
    assert refused.lasting
    assert f"no profile 'mail' in {path} (there is a section [mail]: write [profile mail])" in str(refused)


def test_the_credentials_file_wins_over_the_config_file(config: Any, shared: Any) -> None:
    config("[default]\n" + KEYS.format("AKIACONFIG"))
    assert ours() == theirs() == Credentials("AKIACONFIG", SECRET)
    shared("[default]\n" + KEYS.format("AKIASHARED"))
    assert ours() == theirs() == Credentials("AKIASHARED", SECRET)


def test_the_files_may_be_elsewhere(aws: Any, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("[mail]\n" + KEYS.format("AKIASHARED"))
    (tmp_path / "d").write_text("[profile mail]\nregion = eu-north-1\n")
    aws(AWS_SHARED_CREDENTIALS_FILE="~/c", AWS_CONFIG_FILE=str(tmp_path / "d"), AWS_DEFAULT_PROFILE="mail")
    assert ours() == theirs() == Credentials("AKIASHARED", SECRET)


def test_the_profiles_region_is_the_last_resort(aws: Any, config: Any) -> None:
    config("[default]\nregion = eu-north-1\n[profile mail]\nregion = us-west-2\n")
    assert load_worker_settings().aws_region == "eu-west-1"
    aws(AWS_REGION="", AWS_DEFAULT_REGION="")
    assert load_worker_settings().aws_region == "eu-north-1"
    aws(AWS_PROFILE="mail")
    assert load_worker_settings().aws_region == "us-west-2"
    assert load_worker_settings(aws_region="sa-east-1").aws_region == "sa-east-1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"aws_access_key_id = A\naws_secret_access_key = {SECRET}\n", "line 1: it stands before the first"),
        (f"[default]\n{SECRET}\n", "line 2: it is no section"),
        (f"[default]\naws_secret_access_key={SECRET}\n[default]\n", "line 3: the section [default] stands"),
        (
            f"[default]\naws_secret_access_key={SECRET}\naws_secret_access_key=x\n",
            "line 3: aws_secret_access_key",
        ),
        (f"[default]\naws_access_key_id = A\naws_secret_access_key = {SECRET} # mine\n", "white space"),
        ("[default]\naws_access_key_id = AKIA\n", "aws_secret_access_key is missing"),
        ("[default]\naws_access_key_id =\naws_secret_access_key = x\n", "aws_access_key_id is empty"),
        ("[default]\naws_access_key_id = AKIA\naws_secret_access_key =\n", "aws_secret_access_key is empty"),
    ],
)
def test_a_malformed_file_ends_the_search_and_is_not_repeated(
    aws: Any, shared: Any, place: StandIn, text: str, said: str
) -> None:
    path = shared(text)
    place.routes["GET /creds"] = (200, role_answer())
    aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{place.url}/creds")
    refused = unavailable()
    assert refused.lasting
    assert said in str(refused)
    assert str(path) in str(refused)
    assert place.asked == []


def test_what_is_no_text_is_told_so(tmp_path: Path, shared: Any) -> None:
    shared("").write_bytes(b"[default]\naws_access_key_id = \xff\xfe\n")
    assert "is no UTF-8 text" in str(unavailable())


def test_a_profile_that_signs_in_by_sso_is_refused_with_the_remedy(aws: Any, config: Any) -> None:
    config("[profile mail]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n" + KEYS.format("AKIA"))
    aws(AWS_PROFILE="mail")
    refused = unavailable()
    assert refused.lasting
    assert "aws configure export-credentials --profile mail --format process" in str(refused)


def test_where_nothing_is_set_up_every_place_is_named(tmp_path: Path) -> None:
    refused = unavailable()
    assert refused.lasting
    assert [name.split(" /")[0].split(",")[0] for name, _ in refused.tried] == [
        "settings",
        "shared credentials file",
        "config file",
        "container endpoint",
        "EC2 instance metadata (IMDSv2)",
    ]
    assert botocore.session.Session().get_credentials() is None


# credential_process


def test_a_process_prints_credentials_after_the_shared_file_and_before_the_config_file(
    config: Any, shared: Any, tmp_path: Path
) -> None:
    line = f"credential_process = {command(tmp_path, PRINTS, 'ASIA $HOME; #quoted')}\n"
    config("[default]\n" + line + KEYS.format("AKIACONFIG"))
    found = theirs_and_ours_refuse_blanks()
    assert "access_key_id holds white space" in found
    config("[default]\n" + line.replace(" $HOME; #quoted", "$HOME;#quoted") + KEYS.format("AKIACONFIG"))
    assert ours() == theirs() == Credentials("ASIA$HOME;#quoted", SECRET, TOKEN)
    shared("[default]\n" + KEYS.format("AKIASHARED"))
    assert ours() == theirs() == Credentials("AKIASHARED", SECRET)


def theirs_and_ours_refuse_blanks() -> str:
    with pytest.raises(ValueError, match="white space"):
        theirs()
    return str(unavailable())


@pytest.mark.parametrize(
    ("code", "said", "lasting"),
    [
        (
            "import sys; sys.stderr.write('log in <first>\\n'); sys.exit(3)",
            "exit code 3: log in ‹first›",
            False,
        ),
        (f"import sys; sys.exit('AWS_SECRET_ACCESS_KEY={SECRET} is no key')", "KEY=*** is no key", False),
        (f"import sys; sys.exit('got {SECRET} from the vault')", "got *** from the vault", False),
        ("import sys; sys.exit('no login with --password: hunter2')", "--password: ***", False),
        (f"print({SECRET!r})", "printed no JSON", False),
        ("print('[' * 60000)", "printed no JSON", False),
        (f"print('x{SECRET}' * 9000)", "printed more than", True),
        (
            f'print(\'{{"Version": 2, "AccessKeyId": "A", "SecretAccessKey": "{SECRET}"}}\')',
            "Version 1",
            True,
        ),
        (f'print(\'{{"Version": 1, "SecretAccessKey": "{SECRET}"}}\')', "no AccessKeyId", False),
        (
            f'print(\'{{"Version": 1, "AccessKeyId": 7, "SecretAccessKey": "{SECRET}"}}\')',
            "access_key_id",
            False,
        ),
        (
            'print(\'{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "x", "Expiration": "soon"}\')',
            "no date and time",
            False,
        ),
    ],
)
def test_a_process_that_goes_wrong_is_told_and_its_output_is_not(
    config: Any, tmp_path: Path, code: str, said: str, lasting: bool
) -> None:
    config(f"[default]\ncredential_process = {command(tmp_path, code)}\n" + KEYS.format("AKIACONFIG"))
    refused = unavailable()
    assert said in str(refused)
    assert refused.lasting is lasting
    assert "credential_process of profile default" in str(refused)
    assert SECRET not in str(refused)
    assert "hunter2" not in str(refused)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/nowhere/at-all --x", "'/nowhere/at-all' can't be run: No such file"),
        ("'unclosed", "can't be split into words"),
        ("", "credential_process is empty"),
        ("true && echo hacked; false", "no JSON"),
    ],
)
def test_a_command_that_cannot_run_is_told_and_no_shell_is_tried(config: Any, line: str, said: str) -> None:
    config(f"[default]\ncredential_process = {line}\n")
    assert said in str(unavailable())


def test_a_process_that_hangs_is_ended_with_its_children(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rq_ses_worker.identity.process.CredentialProcess.__init__.__kwdefaults__", {"timeout": 0.5}
    )
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    config(f"[default]\ncredential_process = {command(tmp_path, code)}\n")
    assert "took longer than 0.5 s" in str(unavailable())


# Containers


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


# EC2


def instance(place: StandIn, role: str = "mailer") -> None:
    path = "/latest/meta-data/iam/security-credentials/"

    def authorized(answer: Any) -> Any:
        return lambda asked: answer if asked.headers.get("x-aws-ec2-metadata-token") == "t-1" else (401, "")

    place.routes["PUT /latest/api/token"] = (200, "t-1")
    place.routes[f"GET {path}"] = authorized((200, f"{role}\n" if role == "mailer" else role))
    place.routes[f"GET {path}{role}"] = authorized((200, role_answer("ASIAEC2")))


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


# STS


@pytest.fixture
def web(aws: Any, place: StandIn, tmp_path: Path) -> Any:
    (tmp_path / "web token").write_text("web.identity.token-of-the-tests\n")
    place.routes["POST /"] = sts
    aws(AWS_ENDPOINT_URL_STS=place.url)
    return aws


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


def test_where_credentials_are_looked_for_does_not_show_the_environment(aws: Any) -> None:
    aws(AWS_CONTAINER_AUTHORIZATION_TOKEN="hunter2")
    chain = Chain(os.environ, None, partial(str, "hunter2"))  # type: ignore[arg-type]
    assert "hunter2" not in repr(chain.find)
