"""Signatures against botocore, and AWS's own test vectors where they are at hand."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from rq_ses_worker.ses import sigv4
from rq_ses_worker.ses.sigv4 import Credentials, sign
from support.ses.oracle import KEY_ID, SECRET, suite_case

CREDENTIALS = Credentials(KEY_ID, SECRET)
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
URL = "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails"
VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors"


def _vectors(name: str, member: str) -> list[dict[str, Any]]:
    path = VECTORS / name
    return json.loads(path.read_text("utf-8"))[member] if path.exists() else []


def botocore_signs(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    now: datetime = NOW,
) -> dict[str, str]:
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    signer = SigV4Auth(
        BotoCredentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token),
        "ses",
        region,
    )
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        signer.add_auth(request)
    names = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
    return {name: request.headers[name] for name in names if name in request.headers}


def test_the_signing_key_is_derived_step_by_step() -> None:
    key = f"AWS4{SECRET}".encode()
    for part in (b"20150830", b"us-east-1", b"iam", b"aws4_request"):
        key = hmac.new(key, part, hashlib.sha256).digest()
    assert sigv4.signing_key(SECRET, "20150830", "us-east-1", "iam") == key


def _joined(pairs: list[list[str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


@pytest.mark.parametrize("without_implied", [False, True], ids=["as given", "host and date dropped"])
@pytest.mark.parametrize("case", [suite_case(), *_vectors("sigv4-suite.json", "cases")])
def test_every_case_of_the_aws_suite_gets_the_expected_signature(
    case: dict[str, Any], without_implied: bool
) -> None:
    request = case["request"]
    headers = _joined(request["headers"])
    url = f"https://{headers['Host']}{request['target']}"
    if without_implied:
        headers = {n: v for n, v in headers.items() if n.lower() not in ("host", "x-amz-date")}
    keys = case["credentials"]
    added = sign(
        request["method"],
        url,
        headers,
        request["body"].encode(),
        Credentials(keys["access_key_id"], keys["secret_access_key"], keys.get("token")),
        case["region"],
        service=case["service"],
        now=datetime.fromisoformat(case["timestamp"]),
    )
    assert added["Authorization"] == case["expected"]["authorization"]


def _signs_as_recorded(case: dict[str, Any]) -> bool:
    signed = case["signed_headers"].split(";")
    added = sign(
        case["method"],
        case["url"],
        {name: value for name, value in case["headers"] if name.lower() in signed},
        case["body"].encode(),
        Credentials(**case["credentials"]),
        case["region"],
        now=datetime.strptime(case["timestamp"], "%Y%m%dT%H%M%S%z"),
    )
    return added["Authorization"] == case["authorization"]


def test_every_recorded_request_gets_the_recorded_signature() -> None:
    cases = _vectors("ses-requests.json", "vectors")
    assert [case["name"] for case in cases if not _signs_as_recorded(case)] == []


_TOKEN_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_names = st.text(_TOKEN_CHARACTERS, min_size=1, max_size=12).map(lambda name: f"X-{name}")
_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F), max_size=20)
_printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
_segments = st.one_of(
    st.sampled_from(["", ".", "..", "...", "a", "é", "%20", "%2F", "a b", "~", "*", "+", ";x=1", "a:b@c"]),
    st.text(st.characters(exclude_characters="/?#\t\r\n", exclude_categories=["Cs"]), max_size=6),
)
_paths = st.lists(_segments, max_size=6).map(lambda segments: "/" + "/".join(segments))
_words = st.sampled_from(["", "a", "A", "a", "é", "a/b", "=", "&", "%", " ", "~", "z", "-"])
_queries = st.one_of(
    st.just(""),
    st.lists(st.tuples(_words, _words), max_size=5).map(lambda pairs: urlencode(pairs, quote_via=quote)),
    st.text(st.sampled_from("ab=&%2Ff+/:@"), max_size=12),
)
_hosts = st.sampled_from(
    [
        "https://email.us-east-1.amazonaws.com",
        "https://Email.EU-West-1.AmazonAWS.com:443",
        "http://localhost:80",
        "http://127.0.0.1:9000",
        "https://[::1]:8443",
        "http://[2001:DB8::1]",
    ]
)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "head", "Patch"]),
    host=_hosts,
    path=_paths,
    query=_queries,
    headers=st.dictionaries(_names, _values, max_size=5),
    body=st.binary(max_size=50),
    secret=_printable,
    token=st.none() | _printable,
    region=st.from_regex(r"[a-z]{2}(-[a-z]{2,9}){1,2}-[0-9]", fullmatch=True),
    now=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_any_request_is_signed_as_botocore_signs_it(
    method: str,
    host: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    secret: str,
    token: str | None,
    region: str,
    now: datetime,
) -> None:
    url = f"{host}{path}?{query}" if query else f"{host}{path}"
    credentials = Credentials(KEY_ID, secret, token)
    expected = botocore_signs(method, url, headers, body, credentials, region, now)
    assert sign(method, url, headers, body, credentials, region, now=now) == expected


@pytest.mark.parametrize(
    ("path", "signed"),
    [
        ("", "/"),
        ("//", "/"),
        ("/a//b/", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/../..", "/"),
        ("/a%20b", "/a%2520b"),
        ("/a b", "/a%20b"),
        ("/ሴ", "/%E1%88%B4"),
        ("/~x", "/~x"),
        ("/a/..", "/"),
    ],
)
def test_a_path_is_cleaned_and_encoded_once_more(path: str, signed: str) -> None:
    assert sigv4.canonical_uri(path) == signed


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=1&a=2"),
        ("flag", "flag="),
        ("a-b=1&a=1", "a=1&a-b=1"),
        ("ሴ=bar&a=1", "%E1%88%B4=bar&a=1"),
        ("t=a%2Fb%3D", "t=a%2Fb%3D"),
        ("x=a=b", "x=a=b"),
    ],
)
def test_a_query_is_sorted_and_every_key_gets_its_equals_sign(query: str, signed: str) -> None:
    assert sigv4.canonical_query_string(query) == signed


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Email.Example:443/", "email.example"),
        ("http://email.example:80/", "email.example"),
        ("https://email.example:80/", "email.example:80"),
        ("http://[::1]:9000/x", "[::1]:9000"),
        ("http://user:pw@host/", "host"),
    ],
)
def test_the_host_is_in_lower_case_with_the_port_only_where_it_is_needed(url: str, host: str) -> None:
    assert sigv4.host_header(url) == host


def test_a_url_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="no host"):
        sign("POST", "/v2/email", {}, b"", CREDENTIALS, "us-east-1", now=NOW)


def _signed_names(added: dict[str, str]) -> str:
    return added["Authorization"].split("SignedHeaders=")[1].split(",")[0]


def test_a_given_date_and_authorization_of_an_earlier_attempt_are_not_signed() -> None:
    fresh = sign("POST", URL, {"Content-Type": "application/json"}, b"{}", CREDENTIALS, "us-east-1", now=NOW)
    stale = {"content-type": "application/json", "AUTHORIZATION": "x", "x-amz-DATE": "20000101T000000Z"}
    assert sign("POST", URL, stale, b"{}", CREDENTIALS, "us-east-1", now=NOW) == fresh
    assert _signed_names(fresh) == "content-type;host;x-amz-date"


def test_a_given_host_is_signed_since_it_is_what_will_be_sent() -> None:
    given_host = sign("POST", URL, {"Host": "other.example"}, b"", CREDENTIALS, "us-east-1", now=NOW)
    from_url = sign("POST", "https://other.example/v2/email/outbound-emails", {}, b"", CREDENTIALS, "us-east-1", now=NOW)  # fmt: skip  # noqa: E501
    assert given_host == from_url


def test_every_given_header_is_signed_even_those_a_proxy_may_change() -> None:
    given_headers = {"User-Agent": "x", "Connection": "close", "Accept": "*/*"}
    added = sign("POST", URL, given_headers, b"", CREDENTIALS, "us-east-1", now=NOW)
    assert _signed_names(added) == "accept;connection;host;user-agent;x-amz-date"


def test_the_token_of_the_credentials_wins_over_a_given_one() -> None:
    with_token = replace(CREDENTIALS, session_token="TOKEN")
    added = sign("POST", URL, {"x-amz-security-token": "old"}, b"", with_token, "us-east-1", now=NOW)
    assert added == botocore_signs("POST", URL, {}, b"", with_token, "us-east-1")
    assert added["X-Amz-Security-Token"] == "TOKEN"


def test_a_header_given_twice_in_different_case_is_joined() -> None:
    twice = sign("GET", URL, {"X-A": "1", "x-a": " 2 "}, b"", CREDENTIALS, "us-east-1", now=NOW)
    assert twice == sign("GET", URL, {"x-a": "1,2"}, b"", CREDENTIALS, "us-east-1", now=NOW)


def test_another_zone_of_the_same_instant_gives_the_same_signature() -> None:
    utc = sign("GET", URL, {}, b"", CREDENTIALS, "us-east-1", now=NOW)
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    assert sign("GET", URL, {}, b"", CREDENTIALS, "us-east-1", now=tokyo) == utc


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        sign("GET", URL, {}, b"", CREDENTIALS, "us-east-1", now=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("name", ["X-A\r\nEvil", "X A", "", "X;Y", "X:Y", "É"])
def test_a_header_name_that_could_break_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a header"):
        sign("GET", URL, {name: "x"}, b"", CREDENTIALS, "us-east-1", now=NOW)


def test_a_line_break_in_a_header_value_reaches_neither_the_canonical_request_nor_the_result() -> None:
    broken = sign("GET", URL, {"X-A": "1\r\nEvil: 2\n"}, b"", CREDENTIALS, "us-east-1", now=NOW)
    assert broken == sign("GET", URL, {"X-A": "1 Evil: 2"}, b"", CREDENTIALS, "us-east-1", now=NOW)
    assert not any("\r" in value or "\n" in value for value in broken.values())


@pytest.mark.parametrize("region", ["", "us east", "us-east-1\r\nX: y", "a/b", "a,b"])
def test_a_region_that_could_break_out_of_the_header_is_refused(region: str) -> None:
    with pytest.raises(ValueError, match="region"):
        sign("GET", URL, {}, b"", CREDENTIALS, region, now=NOW)


def test_the_signing_key_is_derived_once_for_a_day_and_region() -> None:
    sigv4.signing_key.cache_clear()
    for minute in range(5):
        sign("GET", URL, {}, b"", CREDENTIALS, "us-east-1", now=NOW + timedelta(minutes=minute))
    assert sigv4.signing_key.cache_info().misses == 1
    sign("GET", URL, {}, b"", CREDENTIALS, "us-east-1", now=NOW + timedelta(days=1))
    assert sigv4.signing_key.cache_info().misses == 2


@pytest.mark.parametrize("value", ["", " ", "with space", "line\n", "\ttab", "nul\0", None])
@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key", "session_token"])
def test_an_empty_or_broken_credential_is_refused_by_name_and_never_by_value(field: str, value: Any) -> None:
    if field == "session_token" and value is None:
        value = "a b"
    fields: dict[str, Any] = {"access_key_id": "AKID", "secret_access_key": "s3cr3t", field: value}
    with pytest.raises(ValueError, match=field) as caught:
        Credentials(**fields)
    assert not (value and value.strip() and value in str(caught.value))
    assert "s3cr3t" not in str(caught.value)


def test_credentials_show_neither_secret_in_repr_str_or_format() -> None:
    credentials = Credentials("AKID", "the-secret", "the-token")
    shown = f"{credentials} {credentials!r} {[credentials]}"
    assert "AKID" in shown
    assert "the-secret" not in shown
    assert "the-token" not in shown


def test_credentials_can_be_copied_but_not_pickled_or_changed() -> None:
    credentials = Credentials("AKID", "the-secret", "the-token")
    assert copy.deepcopy(credentials) is credentials
    assert copy.copy(credentials) == credentials
    with pytest.raises(TypeError, match="not pickled") as caught:
        pickle.dumps(credentials)
    assert "the-secret" not in str(caught.value)
    with pytest.raises(FrozenInstanceError):
        credentials.secret_access_key = "x"  # type: ignore[misc]
