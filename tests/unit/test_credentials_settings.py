"""Credentials, profile, region and kind of endpoint, as settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rq_ses.errors import SettingsError
from rq_ses_worker.identity.provider import CredentialsUnavailable
from rq_ses_worker.settings import load_worker_settings

SECRET = "s3cr3tKeyThatNobodyMaySee"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in list(os.environ):
        if name.upper().startswith(("RQ_SES_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


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
