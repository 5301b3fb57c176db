"""Credentials, profile, region and kind of endpoint, as settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from rq_ses.errors import SettingsError
from rq_ses.settings.producer import load_producer_settings
from rq_ses_worker.identity.endpoints import configured_endpoint
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable
from rq_ses_worker.settings.worker import load_worker_settings

SECRET = "s3cr3tKeyThatNobodyMaySee"


@pytest.fixture(autouse=True)
def environment(environment: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return environment


def problem() -> str:
    with pytest.raises(SettingsError) as caught:
        load_worker_settings()
    (one,) = caught.value.problems
    assert SECRET not in one
    return one


def test_half_a_key_is_an_error_that_names_both_halves(environment: Any) -> None:
    environment(AWS_ACCESS_KEY_ID="AKID")
    assert problem() == (
        "AWS_ACCESS_KEY_ID: is set, but AWS_SECRET_ACCESS_KEY is not: set both in one place, or remove it"
    )
    environment(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=SECRET)
    assert problem() == (
        "AWS_SECRET_ACCESS_KEY: is set, but AWS_ACCESS_KEY_ID is not: set both in one place, or remove it"
    )


def test_a_key_that_is_wrong_is_not_called_missing(environment: Any) -> None:
    environment(AWS_ACCESS_KEY_ID="A K", AWS_SECRET_ACCESS_KEY=SECRET)
    assert problem().startswith("AWS_ACCESS_KEY_ID: access_key_id holds white space")


def test_a_secret_of_another_type_is_not_shown(environment: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for name in ("secret_access_key", "session_token"):
        path.write_text(
            '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\naccess_key_id = "AKID"\n'
            + ('secret_access_key = "x"\n' if name == "session_token" else "")
            + f'{name} = ["{SECRET}"]\n'
        )
        environment(RQ_SES_CONFIG=str(path))
        assert "a value of type list cannot be used" in problem()


def test_without_a_key_the_search_begins_when_credentials_are_asked_for(environment: Any) -> None:
    environment(AWS_PROFILE="nobody")
    source = load_worker_settings().credentials()
    assert str(source) == "no credentials yet"
    with pytest.raises(CredentialsUnavailable, match="there is no profile 'nobody'"):
        source.current()


def test_a_profile_can_stand_in_the_settings_file(environment: Any, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        f"[mail]\naws_access_key_id = AKIAMAIL\naws_secret_access_key = {SECRET}\nregion = eu-north-1\n"
    )
    path = tmp_path / "x.toml"
    path.write_text('[rq_ses]\naws_profile = "mail"\n')
    environment(RQ_SES_CONFIG=str(path), AWS_REGION="")
    settings = load_worker_settings()
    assert settings.credentials().current().access_key_id == "AKIAMAIL"
    assert settings.aws_region == "eu-north-1"
    environment(AWS_ACCESS_KEY_ID="AKIAENV", AWS_SECRET_ACCESS_KEY=SECRET)
    assert load_worker_settings().credentials().current().access_key_id == "AKIAENV"


def test_a_region_without_ses_is_refused_unless_its_address_is_given(environment: Any) -> None:
    environment(AWS_REGION="ap-east-1")
    assert problem().startswith(
        "AWS_REGION: Amazon SES is not listed in region 'ap-east-1': use one of the nearest (ap-east-2,"
    )
    environment(RQ_SES_BASE_URL="https://email.ap-east-1.amazonaws.com")
    assert load_worker_settings().client().url.startswith("https://email.ap-east-1.amazonaws.com/v2/")


@pytest.mark.parametrize("names", [("RQ_SES_USE_FIPS", "RQ_SES_USE_DUALSTACK"),
                                   ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")])  # fmt: skip
def test_fips_and_dual_stack_have_our_names_and_awss(environment: Any, names: tuple[str, str]) -> None:
    environment(**dict.fromkeys(names, "true"))
    assert load_worker_settings().client().url.startswith("https://email-fips.us-east-1.api.aws/")
    environment(AWS_REGION="eu-west-1")
    assert "no FIPS endpoint of Amazon SES is listed in region 'eu-west-1'" in problem()
    environment(**{names[0]: "false"})
    assert load_worker_settings().client().url.startswith("https://email.eu-west-1.api.aws/")
    environment(RQ_SES_BASE_URL="https://ses.example")
    assert problem().startswith("RQ_SES_BASE_URL: base_url 'https://ses.example' and use_dualstack exclude")


# All of a key comes from one place


FILE = '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\n'
PAIR = f'access_key_id = "AKIAFILE"\nsecret_access_key = "{SECRET}"\n'
ENDS = "2100-01-01T00:00:00Z"


@pytest.fixture
def file(tmp_path: Path, environment: Any) -> Any:
    def write(text: str) -> str:
        path = tmp_path / "x.toml"
        path.write_text(FILE + text)
        environment(RQ_SES_CONFIG=str(path))
        return str(path)

    return write


def test_a_token_left_over_in_the_environment_is_not_joined_to_the_files_key(
    environment: Any, file: Any
) -> None:
    path = file(PAIR)
    environment(AWS_SESSION_TOKEN="left-over", AWS_CREDENTIAL_EXPIRATION=ENDS)
    settings = load_worker_settings()
    source = settings.credentials()
    assert source.current() == Credentials("AKIAFILE", SECRET)
    assert str(source) == f"the file {path} (AKIAFILE)"
    assert source.expires is None
    assert settings.unused == ("AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION")


def test_a_profile_of_the_environment_beside_a_key_of_the_file_is_named(environment: Any, file: Any) -> None:
    file(PAIR)
    assert load_worker_settings().unused == ()
    environment(AWS_PROFILE="mail")
    settings = load_worker_settings()
    assert settings.credentials().current().access_key_id == "AKIAFILE"
    assert settings.unused == ("the key of AWS_PROFILE",)


def test_a_file_that_takes_its_key_from_the_environment_leaves_nothing_unused(
    environment: Any, file: Any
) -> None:
    taken = 'access_key_id = "${env.AWS_ACCESS_KEY_ID}"\nsecret_access_key = "${env.AWS_SECRET_ACCESS_KEY}"\n'
    path = file(taken)
    environment(AWS_ACCESS_KEY_ID="AKIAENV", AWS_SECRET_ACCESS_KEY=SECRET)
    settings = load_worker_settings()
    assert settings.credentials().current() == Credentials("AKIAENV", SECRET)
    assert settings.unused == ()
    file(taken + 'session_token = "left-over"\n')
    assert load_worker_settings().unused == (
        f"endpoints.transport.settings.session_token of the file {path}",
    )


def test_a_token_of_the_file_stays_with_its_key(environment: Any, file: Any) -> None:
    path = file(PAIR + 'session_token = "of-the-file"\n')
    environment(AWS_SESSION_TOKEN="left-over")
    assert load_worker_settings().credentials().current() == Credentials("AKIAFILE", SECRET, "of-the-file")
    environment(AWS_ACCESS_KEY_ID="AKIAENV", AWS_SECRET_ACCESS_KEY="other", AWS_SESSION_TOKEN="")
    settings = load_worker_settings()
    assert settings.credentials().current() == Credentials("AKIAENV", "other")
    assert settings.origin("aws_access_key_id") == "the environment"
    where = f"of the file {path}"
    assert settings.unused == tuple(
        f"endpoints.transport.settings.{name} {where}"
        for name in ("access_key_id", "secret_access_key", "session_token")
    )


def test_a_file_may_take_all_of_it_from_the_environment(environment: Any, file: Any) -> None:
    file('access_key_id = "${env.MY_ID}"\nsecret_access_key = "${env.MY_SECRET}"\n')
    environment(MY_ID="AKIAMINE", MY_SECRET=SECRET)
    assert load_worker_settings().credentials().current() == Credentials("AKIAMINE", SECRET)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_key_beside_a_whole_one_in_the_file_is_an_error(
    environment: Any, file: Any, name: str
) -> None:
    path = file(PAIR)
    environment(**{name: "OTHER"})
    (other,) = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} - {name}
    assert problem() == (
        f"{name}: is set, but {other} is not: set both in one place, or remove it "
        f"and use those of the file {path}"
    )


def test_a_key_in_two_places_is_an_error_that_says_how_a_file_takes_a_variable(
    environment: Any, file: Any
) -> None:
    file('access_key_id = "AKIAFILE"\n')
    environment(AWS_SECRET_ACCESS_KEY=SECRET)
    assert problem() == (
        "AWS_SECRET_ACCESS_KEY: is set, but AWS_ACCESS_KEY_ID is not: set both in one place, or remove it; "
        "a file takes a variable by ${env.NAME}"
    )


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_SESSION_TOKEN", "left-over"), ("AWS_CREDENTIAL_EXPIRATION", ENDS)]
)
def test_a_part_without_any_key_is_an_error(environment: Any, name: str, value: str) -> None:
    environment(**{name: value})
    assert problem() == (
        f"{name}: is set, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not: "
        "set them, too, in one place, or remove it"
    )


def test_a_part_in_the_file_alone_is_an_error(file: Any) -> None:
    path = file('session_token = "t"\n')
    place = "endpoints.transport.settings"
    assert problem().startswith(
        f"{place}.session_token of the file {path}: is set, but {place}.access_key_id of the file {path} and "
    )
    file('access_key_id = "AKIAFILE"\nsession_token = "t"\n')
    assert problem().startswith(
        f"{place}.access_key_id of the file {path}: is set, but {place}.secret_access_key"
    )


def test_a_bound_of_probes_below_the_first_is_an_error(environment: Any) -> None:
    environment(RQ_SES_BREAKER_PROBE="90")
    assert load_worker_settings().gate().longest_probe == 90
    environment(RQ_SES_BREAKER_PROBE_MAX="60")
    assert problem() == (
        "RQ_SES_BREAKER_PROBE_MAX: 60 is less than RQ_SES_BREAKER_PROBE (90): give at least that"
    )


def test_a_pool_too_small_for_a_worker_is_an_error(environment: Any) -> None:
    environment(RQ_SES_REDIS_URL="redis://h?max_connections=3")
    assert "its option max_connections 3 is less than a worker needs: give at least 8" in problem()
    assert load_producer_settings().redis_url


def test_the_log_level_is_a_setting(environment: Any) -> None:
    environment(RQ_SES_LOG_LEVEL="WARNING")
    assert load_worker_settings().log_level == "warning"
    environment(RQ_SES_LOG_LEVEL="verbose")
    assert problem().startswith("RQ_SES_LOG_LEVEL: 'verbose' cannot be used: it must be 'debug', 'info'")


# Addresses where AWS's tools look for them


def sends_to() -> str:
    return load_worker_settings().client().url.removesuffix("/v2/email/outbound-emails")


def botocores() -> str:
    """The address that AWS's own SDK takes, from a session that reads everything anew."""
    return str(Session().create_client("sesv2", region_name="us-east-1").meta.endpoint_url).rstrip("/")


CONFIG = """\
[default]
endpoint_url = https://of-the-profile.example
[profile services]
services = mine
endpoint_url = https://of-the-profile.example
[services mine]
s3 =
  endpoint_url = https://s3.example
sesv2 =
  endpoint_url = https://of-the-service.example
[profile deaf]
ignore_configured_endpoint_urls = true
endpoint_url = https://of-the-profile.example
"""


@pytest.mark.parametrize(
    ("variables", "host", "place"),
    [
        ({}, "of-the-profile.example", "endpoint_url of profile default"),
        ({"AWS_PROFILE": "services"}, "of-the-service.example", "the services mine of profile services"),
        ({"AWS_PROFILE": "deaf"}, "email.us-east-1.amazonaws.com", ""),
        ({"AWS_ENDPOINT_URL": "https://all.example"}, "all.example", "AWS_ENDPOINT_URL"),
        (
            {"AWS_ENDPOINT_URL": "https://all.example", "AWS_ENDPOINT_URL_SESV2": "https://ses.example"},
            "ses.example",
            "AWS_ENDPOINT_URL_SESV2",
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.example"},
            "of-the-profile.example",
            "endpoint_url of profile default",
        ),
        (
            {"AWS_ENDPOINT_URL": "https://x.example", "AWS_PROFILE": "deaf"},
            "email.us-east-1.amazonaws.com",
            "",
        ),
        (
            {"AWS_ENDPOINT_URL": "https://all.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
            "email.us-east-1.amazonaws.com",
            "",
        ),
        (
            {"AWS_PROFILE": "deaf", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"},
            "of-the-profile.example",
            "endpoint_url of profile deaf",
        ),
        ({"AWS_ENDPOINT_URL": ""}, "of-the-profile.example", "endpoint_url of profile default"),
    ],
)
def test_an_address_is_taken_from_where_awss_own_tools_take_it(
    environment: Any, tmp_path: Path, variables: dict[str, str], host: str, place: str
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    environment(**variables)
    assert sends_to() == botocores() == f"https://{host}"
    assert load_worker_settings().endpoint_place == place
    environment(RQ_SES_BASE_URL="https://ours.example")
    assert sends_to() == "https://ours.example"
    assert load_worker_settings().endpoint_place == "RQ_SES_BASE_URL"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_SESV2", "AWS_ENDPOINT_URL"])
def test_such_an_address_keeps_our_rules_and_is_named_by_its_variable(environment: Any, name: str) -> None:
    environment(**{name: "http://ses.internal"})
    assert problem().startswith(f"{name}: base_url 'http://ses.internal' is not encrypted")
    environment(**{name: "http://127.0.0.1:4579"})
    assert sends_to() == "http://127.0.0.1:4579"
    environment(RQ_SES_USE_FIPS="true")
    assert problem().startswith(f"{name}: base_url 'http://127.0.0.1:4579' and use_fips exclude each other")


def test_sts_is_asked_where_awss_own_tools_ask_it(environment: Any) -> None:
    for variables, url in (
        ({"AWS_ENDPOINT_URL": "https://all.example"}, "https://all.example"),
        ({"AWS_ENDPOINT_URL_STS": "https://sts.example"}, "https://sts.example"),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
    ):
        environment(**variables)
        found = configured_endpoint("sts", None, os.environ)
        assert (found.url if found else None) == url


@pytest.mark.parametrize(
    "secret", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLE+KEYx"]
)
def test_a_key_whose_id_and_secret_are_swapped_is_refused(environment: Any, secret: str) -> None:
    environment(AWS_ACCESS_KEY_ID=secret, AWS_SECRET_ACCESS_KEY="AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(SettingsError) as caught:
        load_worker_settings()
    said = str(caught.value)
    assert "AWS_ACCESS_KEY_ID: access_key_id holds a /, + or =, as no id does; key id and secret may" in said
    assert "AWS_SECRET_ACCESS_KEY: secret_access_key looks like the id of a key" in said
    assert secret[:4] not in said


def test_swapped_keys_of_a_profile_are_refused_without_a_word_of_them(
    environment: Any, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxxx\n"
        "aws_secret_access_key = AKIAIOSFODNN7EXAMPLE\n"
    )
    with pytest.raises(CredentialsUnavailable, match="may be swapped") as caught:
        load_worker_settings().credentials().current()
    assert "wJal" not in str(caught.value)


def test_a_profiles_endpoint_that_is_wrong_is_named_as_the_profiles(environment: Any, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile odd]\nendpoint_url = http://u:s3cret@127.0.0.1:1\n")
    environment(AWS_PROFILE="odd")
    said = problem()
    assert said.endswith("remove what is before the @ (endpoint_url of profile odd)")
    assert "s3cret" not in said
