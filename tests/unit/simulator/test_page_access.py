"""Who may look at the simulator's records, who may change them, and what of a request is never shown."""

from __future__ import annotations

import pytest

from rq_ses_worker.simulator.options import Credential
from rq_ses_worker.simulator.records.raw import (
    MASK,
    RawRequest,
    conceal,
    head_of,
    shown_headers,
    shown_target,
    verdict,
)
from rq_ses_worker.simulator.web.access import host_name, may_change, may_look

CREDENTIAL = Credential("AKID", "very/secret+key", "token-of-the-session==")


@pytest.mark.parametrize(
    ("peer", "host", "allowed", "served"),
    [
        ("127.0.0.1", "localhost:4579", (), True),
        ("172.18.0.1", "localhost:4579", (), False),
        ("172.18.0.1", "simulator:4579", (), False),
        ("127.0.0.1", "simulator:4579", (), False),
        ("172.18.0.1", "simulator:4579", ("simulator",), True),
        ("172.18.0.1", "SIMULATOR.:4579", ("simulator",), True),
        ("172.18.0.1", "localhost:4579", ("simulator",), True),
        ("172.18.0.1", "attacker.example:4579", ("simulator",), False),
        ("127.0.0.1", "attacker.example:4579", ("simulator",), False),
        ("127.0.0.1", "simulator.attacker.example", ("simulator",), False),
        ("127.0.0.1", "simulator@attacker.example", ("simulator",), False),
        ("192.0.2.7", "[2001:db8::1]:4579", ("2001:db8::1",), True),
        ("127.0.0.1", "", ("simulator",), False),
    ],
)
def test_a_name_that_is_not_allowed_is_not_served(
    peer: str, host: str, allowed: tuple[str, ...], served: bool
) -> None:
    assert may_look(peer, [host], frozenset(allowed)) is served


def test_two_host_headers_are_one_too_many() -> None:
    assert not may_look("127.0.0.1", ["localhost", "localhost"], ())
    assert not may_look("127.0.0.1", [], ())


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:4579"}, True),
        ({"origin": "http://127.0.0.1:4579"}, True),
        ({"origin": "https://127.0.0.1:4579"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:4579"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "http://attacker.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://127.0.0.1:3000"}, False),
        ({"origin": "http://localhost:4579"}, False),
        ({"origin": "http://127.0.0.1:4579.attacker.example"}, False),
        ({"origin": "http://[::1"}, False),
        ({"origin": "file://127.0.0.1:4579"}, False),
    ],
)
def test_only_the_page_itself_and_what_is_no_browser_may_change_things(
    headers: dict[str, str], may: bool
) -> None:
    sent = {name: [value] for name, value in {"host": "127.0.0.1:4579", **headers}.items()}
    assert may_change(sent) is may


@pytest.mark.parametrize("name", ["simulator", "Simulator.", "mail.dev.example", "192.0.2.1", "[::1]", "a_b"])
def test_names_to_allow_are_normalised(name: str) -> None:
    assert host_name(name) == name.lower().rstrip(".").strip("[]")


@pytest.mark.parametrize("name", ["", "http://simulator", "simulator:4579", "*", "a b", "a/b", "-a", "a.*"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        host_name(name)


def _raw(headers: list[tuple[bytes, bytes]], target: bytes = b"/v2/email/outbound-emails") -> RawRequest:
    return RawRequest("POST", target, head_of(headers), b"{}", "44136f")


def test_tokens_cookies_and_foreign_credentials_are_masked_and_the_rest_stands() -> None:
    headers = [
        (b"Host", b"localhost"),
        (b"X-Amz-Security-Token", b"somebody else's token"),
        (b"Cookie", b"session=1"),
        (b"Proxy-Authorization", b"Basic dXNlcjpwYXNz"),
        (b"Authorization", b"Bearer abc.def"),
        (b"X-Empty", b""),
        (b"X-Echo", b"it is very/secret+key"),
        (b"X-Plain", b"caf\xc3\xa9: yes"),
    ]
    assert shown_headers(_raw(headers), [CREDENTIAL]) == [
        ("Host", "localhost"),
        ("X-Amz-Security-Token", MASK),
        ("Cookie", MASK),
        ("Proxy-Authorization", MASK),
        ("Authorization", f"Bearer {MASK}"),
        ("X-Empty", ""),
        ("X-Echo", f"it is {MASK}"),
        ("X-Plain", "café: yes"),
    ]


def test_an_empty_header_does_not_swallow_the_next_one() -> None:
    text = "cookie:\r\nhost: localhost\r\nauthorization: \r\nx: y"
    assert conceal(text, []) == text


def test_the_signature_is_shown() -> None:
    authorization = b"AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/ses/aws4_request, Signature=abc"
    assert shown_headers(_raw([(b"Authorization", authorization)]), [CREDENTIAL]) == [
        ("Authorization", authorization.decode())
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (b"LEAK", MASK),
        (b"LEAK ", f"{MASK}"),
        (b"Basic LEAK", f"Basic {MASK}"),
        (b"Digest username=a, response=LEAK", f"Digest {MASK}"),
        (b"AWS4-HMAC-SHA256", MASK),
    ],
)
def test_a_foreign_credential_is_masked_with_a_scheme_or_without(given: bytes, shown: str) -> None:
    assert shown_headers(_raw([(b"Authorization", given), (b"X", b"y")]), []) == [
        ("Authorization", shown),
        ("X", "y"),
    ]


def test_a_token_in_the_query_is_masked() -> None:
    raw = _raw([], b"/x?X-Amz-Security-Token=abc%2Fdef&a=b")
    assert shown_target(raw, []) == f"/x?X-Amz-Security-Token={MASK}&a=b"


def test_a_verdict_holds_no_token() -> None:
    headers = [
        (b"Host", b"localhost"),
        (b"X-Amz-Date", b"20260102T030405Z"),
        (b"X-Amz-Security-Token", CREDENTIAL.session_token.encode() if CREDENTIAL.session_token else b""),
        (
            b"Authorization",
            b"AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/ses/aws4_request, "
            b"SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=abc",
        ),
    ]
    found = verdict(_raw(headers), [CREDENTIAL], "us-east-1", now=1_767_323_045.0, skew=300)
    assert found.code == "InvalidSignatureException"
    assert f"x-amz-security-token:{MASK}\n" in (found.canonical_request or "")
    assert "x-amz-date:20260102T030405Z\n" in (found.canonical_request or "")
    assert (found.string_to_sign or "").startswith("AWS4-HMAC-SHA256\n20260102T030405Z\n20260102/us-east-1")
    assert "token-of-the-session" not in repr(found) + repr(found.as_dict())
