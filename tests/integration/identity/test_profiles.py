"""Keys of the environment and of the shared files, beside botocore in the same environment."""

from __future__ import annotations

import os
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from rq_ses_worker.identity.chain import Chain
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.settings.worker import load_worker_settings
from support.servers.standin import StandIn
from support.ses.identities import (
    EXPIRATION,
    KEYS,
    SECRET,
    TOKEN,
    ours,
    role_answer,
    source,
    theirs,
    unavailable,
)


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


def test_where_credentials_are_looked_for_does_not_show_the_environment(aws: Any) -> None:
    aws(AWS_CONTAINER_AUTHORIZATION_TOKEN="hunter2")
    chain = Chain(os.environ, None, partial(str, "hunter2"))  # type: ignore[arg-type]
    assert "hunter2" not in repr(chain.find)
