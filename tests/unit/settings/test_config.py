from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rq_ses.settings.config import Config, parse_config, read_config

NAMES = ("redis_url", "queue", "concurrency", "aws_region", "aws_secret_access_key", "base_url", "config")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "EMPTY": "",
    "ODD": "${env.EMPTY}\\1",
}
SEED = """
[endpoints.transport]
type = "ses"

[endpoints.transport.settings]
access_key_id = "${env.AWS_ACCESS_KEY_ID}"
secret_access_key = "${env.AWS_SECRET_ACCESS_KEY}"
region = "us-east-1"
"""


def parse(text: str) -> Config:
    return parse_config(text, "x.toml", ENVIRONMENT, NAMES)


def ses(settings: str) -> str:
    return f'[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\n{settings}'


def test_the_seeds_form_is_read() -> None:
    assert parse(SEED) == Config(
        {"aws_access_key_id": "AKID", "aws_secret_access_key": "s3cret", "aws_region": "us-east-1"}
    )


def test_optional_settings_and_literal_secrets_are_read() -> None:
    text = ses('secret_access_key = "s"\nsession_token = "t"\nbase_url = "http://localhost:1"')
    assert parse(text) == Config(
        {"aws_secret_access_key": "s", "aws_session_token": "t", "base_url": "http://localhost:1"}
    )


def test_an_array_of_endpoints_does_as_well() -> None:
    smtp = '[[endpoints]]\npath = "/x"\n[endpoints.transport]\ntype = "smtp"\n'
    one = '[[endpoints]]\n[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\nregion = "r"\n'
    assert parse(smtp + one).values == {"aws_region": "r"}
    assert parse(smtp + one + one).problems == {
        "endpoints": 'x.toml, endpoints: 2 have a transport of type "ses": give exactly one'
    }
    assert parse(smtp).problems.keys() == {"endpoints"}


def test_our_own_table_holds_any_other_setting_as_toml_types_it() -> None:
    assert parse('[rq_ses]\nconcurrency = 32\nqueue = "bulk"').values == {"concurrency": 32, "queue": "bulk"}


def test_an_empty_file_says_nothing() -> None:
    assert parse("") == Config()


def test_a_reference_may_be_a_part_and_is_not_resolved_twice() -> None:
    text = '[rq_ses]\nqueue = "a-${env.AWS_ACCESS_KEY_ID}-${env.AWS_ACCESS_KEY_ID}"\nredis_url = "${env.ODD}"'
    assert parse(text).values == {"queue": "a-AKID-AKID", "redis_url": "${env.EMPTY}\\1"}


def test_all_missing_variables_are_named_at_once() -> None:
    config = parse(
        ses('access_key_id = "${env.NOPE}"\nsecret_access_key = "${env.EMPTY}"\nregion = "${env.A}${env.B}"')
    )
    assert config.values == {}
    assert config.problems == {
        "aws_access_key_id": "x.toml, endpoints.transport.settings.access_key_id: "
        "the environment variable NOPE is not set: set it",
        "aws_secret_access_key": "x.toml, endpoints.transport.settings.secret_access_key: "
        "the environment variable EMPTY is not set: set it",
        "aws_region": "x.toml, endpoints.transport.settings.region: "
        "the environment variable A is not set: set it; the environment variable B is not set: set it",
    }


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("surprise = 1", ".surprise", "is not known here"),
        ("queue = 'x'", ".queue", "queue: is not known here: write it as rq_ses.queue"),
        ("region = 'x'", ".region", "write it as endpoints.transport.settings.region"),
        ("aws_region = 'x'", ".aws_region", "write it as endpoints.transport.settings.region"),
        ("config = 'x'", ".config", "is not known here"),
        (
            "[rq_ses]\nsecret_access_key = 'x'",
            "rq_ses.secret_access_key",
            "endpoints.transport.settings.secret_",
        ),
        ("[rq_ses]\nsurprise = 1", "rq_ses.surprise", "is not known here"),
        ("[rq_ses]\naws_region = 'x'", "rq_ses.aws_region", "is not known here"),
        ("[rq_ses]\nbase_url = 'x'", "rq_ses.base_url", "is not known here"),
        ("[rq_ses]\nconfig = 'x'", "rq_ses.config", "is not known here"),
        ("rq_ses = 1", "rq_ses", "is not a table"),
        ("endpoints = 1", "endpoints", "is 1"),
        ("[endpoints]\nx = 1\ntransport = {type = 'ses'}", "endpoints.x", "is not known here"),
        ("[endpoints]", "endpoints.transport", "is missing"),
        ("[endpoints]\ntransport = 'ses'", "endpoints.transport", "is not a table"),
        ("[endpoints.transport]\ntype = 'smtp'", "endpoints.transport.type", "is 'smtp'"),
        ("[endpoints.transport]\nsettings = {}", "endpoints.transport.type", "is missing"),
        ("[endpoints.transport]\ntype = 'ses'\nx = 1", "endpoints.transport.x", "is not known here"),
        (
            "[endpoints.transport]\ntype = 'ses'\nsettings = 1",
            "endpoints.transport.settings",
            "is not a table",
        ),
        (ses("secret = 'x'"), "endpoints.transport.settings.secret", "access_key_id"),
        (ses("region = '${AWS_REGION}'"), "aws_region", "write ${env.NAME}"),
        (ses("region = '${env.}'"), "aws_region", "write ${env.NAME}"),
        (ses("region = '${env.X'"), "aws_region", "write ${env.NAME}"),
        ("not toml", "config", "is not TOML"),
        ("x = " + "[" * 100_000, "config", "is not TOML"),
    ],
)
def test_what_cannot_be_understood_is_named_by_its_place(text: str, place: str, words: str) -> None:
    problems = parse(text).problems
    assert place in problems
    assert words in problems[place]
    assert problems[place].startswith("x.toml")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rq-ses.toml"
    path.write_text(SEED)
    assert read_config(str(path), ENVIRONMENT, NAMES) == parse_config(SEED, str(path), ENVIRONMENT, NAMES)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.toml", tmp_path, binary, "nul\0.toml"):
        (problem,) = read_config(str(path), ENVIRONMENT, NAMES).problems.values()
        assert problem.startswith("RQ_SES_CONFIG: ")
        assert "cannot be read" in problem


JSON: Any = st.recursive(
    st.integers() | st.text(max_size=5) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["transport", "type", "x"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["endpoints", "rq_ses", "x"]), JSON))
def test_any_document_is_read_or_refused_without_an_exception(document: dict[str, Any]) -> None:
    def toml(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(toml, value)) + "]"
        if isinstance(value, bool | int):
            return str(value).lower()
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'

    parse("\n".join(f"{name} = {toml(value)}" for name, value in document.items()))
