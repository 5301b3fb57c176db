"""The simulator's verdict against botocore's signatures, and against AWS's own vectors where they are."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rq_ses_worker.simulator.api.sigv4 import SignedRequest, canonical_request, signature
from rq_ses_worker.simulator.api.verify import verify
from rq_ses_worker.simulator.options import Credential
from support.ses.oracle import KEY_ID, SECRET, get_account, suite_case

KEY, TOKEN = KEY_ID, "the/token+of=this test"
URL = "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails"
BODY = '{"FromEmailAddress":"Änne <a@example.com>"}'.encode()
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."
VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors"


def _epoch(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


class Signed:
    """A request signed by botocore, to be tampered with before it is verified."""

    def __init__(
        self,
        url: str = URL,
        body: bytes = BODY,
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        key: str = KEY,
        secret: str = SECRET,
        token: str | None = None,
        region: str = "us-east-1",
        service: str = "ses",
    ) -> None:
        request = AWSRequest(
            method, url, data=body, headers={"Content-Type": "application/json"} | (headers or {})
        )
        SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
        parts = urlsplit(url)
        self.method, self.body = method, body
        self.target = parts.path + (f"?{parts.query}" if parts.query else "")
        self.headers = {"Host": parts.netloc} | {name: str(value) for name, value in request.headers.items()}

    @property
    def signed_at(self) -> float:
        return _epoch(self.headers["X-Amz-Date"])

    def received(self) -> SignedRequest:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        return SignedRequest(
            self.method, self.target.encode(), headers, hashlib.sha256(self.body).hexdigest()
        )

    def verdict(self, *, token: str | None = None, late: float = 0.0) -> tuple[int, str | None, str | None]:
        known = {KEY: Credential(KEY, SECRET, token)}
        refusal = verify(self.received(), known, "us-east-1", now=self.signed_at + late, skew=300)
        return (refusal.status, refusal.code, refusal.message) if refusal else (200, None, None)


GOOD = (200, None, None)
REFUSED = (403, "InvalidSignatureException", MISMATCH)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://127.0.0.1:4579/v2/email/outbound-emails",
        "http://[::1]:9000/v2/email/outbound-emails",
        "http://127.0.0.1:9000/a%20b/%C3%A9/v2/email/outbound-emails",
        "http://127.0.0.1:9000//double///slash/v2/email/outbound-emails",
        "http://127.0.0.1:9000/x/./y/../v2/email/outbound-emails",
        "http://127.0.0.1:9000/~user/(a)'b',c;d=e:f@g!$&*+/v2/email/outbound-emails",
        "http://127.0.0.1:9000/v2/email/account/",
        "http://127.0.0.1:9000/",
        URL + "?PageSize=10&NextToken=a%2Fb%3D&A=&a-b_c.d~e=1&A=0",
    ],
)
def test_a_signature_of_botocore_is_good_over_any_path(url: str) -> None:
    assert Signed(url).verdict() == GOOD


def test_every_header_that_is_named_as_signed_is_verified() -> None:
    request = Signed(headers={"X-Custom": "  two   spaces ", "amz-sdk-request": "attempt=1; max=3"})
    assert request.verdict() == GOOD
    request.headers["amz-sdk-request"] = "attempt=2; max=3"
    assert request.verdict() == REFUSED


def test_a_header_that_is_not_signed_may_change() -> None:
    request = Signed()
    request.headers["User-Agent"] = "anything"
    assert request.verdict() == GOOD


def test_a_get_without_a_body_is_verified() -> None:
    assert Signed("http://localhost:1/v2/email/account", b"", method="GET").verdict() == GOOD


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("body", BODY + b" "),
        ("method", "PUT"),
        ("target", "/v2/email/outbound-emails2"),
        ("target", "/v2/email/outbound-emails?a=b"),
    ],
)
def test_a_request_that_was_changed_after_signing_is_refused(member: str, value: Any) -> None:
    request = Signed()
    setattr(request, member, value)
    assert request.verdict() == REFUSED


def test_another_host_than_the_signed_one_is_refused() -> None:
    request = Signed()
    request.headers["Host"] = "email.us-east-1.amazonaws.com:443"
    assert request.verdict() == REFUSED


def test_another_secret_is_refused() -> None:
    assert Signed(secret=SECRET + "x").verdict() == REFUSED


def test_a_path_that_was_encoded_only_once_for_signing_is_refused() -> None:
    request = Signed("http://127.0.0.1:9000/a b/v2/email/outbound-emails")
    request.target = "/a%20b/v2/email/outbound-emails"
    assert request.verdict() == REFUSED


def test_a_signed_header_that_did_not_arrive_is_refused() -> None:
    request = Signed()
    del request.headers["Content-Type"]
    assert request.verdict() == REFUSED


def test_signed_headers_out_of_order_are_refused() -> None:
    request = Signed()
    request.headers["Authorization"] = request.headers["Authorization"].replace(
        "content-type;host;x-amz-date", "host;content-type;x-amz-date"
    )
    assert request.verdict() == REFUSED


def test_a_declared_hash_of_the_body_must_be_the_bodys() -> None:
    declared = hashlib.sha256(BODY).hexdigest()
    assert Signed(headers={"X-Amz-Content-SHA256": declared}).verdict() == GOOD
    request = Signed(headers={"X-Amz-Content-SHA256": declared})
    request.body += b"!"
    assert request.verdict() == REFUSED
    assert Signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}).verdict() == REFUSED


def test_an_unknown_access_key_is_an_unrecognized_client() -> None:
    assert Signed(key="AKIDOTHER").verdict() == (403, "UnrecognizedClientException", INVALID_TOKEN)


def test_a_session_token_must_come_be_the_right_one_and_be_signed() -> None:
    assert Signed(token=TOKEN).verdict(token=TOKEN) == GOOD
    unrecognized = (403, "UnrecognizedClientException", INVALID_TOKEN)
    assert Signed().verdict(token=TOKEN) == unrecognized
    assert Signed(token="another").verdict(token=TOKEN) == unrecognized
    assert Signed(token=TOKEN).verdict() == unrecognized
    unsigned = Signed()
    unsigned.headers["X-Amz-Security-Token"] = TOKEN
    assert unsigned.verdict(token=TOKEN) == (
        403,
        "InvalidSignatureException",
        "'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization.",
    )


def test_no_authorization_is_a_missing_authentication_token() -> None:
    request = Signed()
    del request.headers["Authorization"]
    assert request.verdict() == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def _authorization(
    *,
    algorithm: str = "AWS4-HMAC-SHA256",
    scope: str = "20260101/us-east-1/ses/aws4_request",
    signed: str = "host;x-amz-date",
) -> str:
    return f"{algorithm} Credential={KEY}/{scope}, SignedHeaders={signed}, Signature={'0' * 64}"


def _unsigned(
    authorization: str, *, stamp: str | None = "20260101T000000Z", now: str = "20260101T000000Z"
) -> Any:
    headers = [(b"Host", b"localhost"), (b"Authorization", authorization.encode("latin-1"))]
    if stamp is not None:
        headers.append((b"X-Amz-Date", stamp.encode()))
    received = SignedRequest("POST", b"/v2/email/outbound-emails", headers, hashlib.sha256(b"").hexdigest())
    return verify(received, {KEY: Credential(KEY, SECRET)}, "us-east-1", now=_epoch(now), skew=300)


@pytest.mark.parametrize(
    ("authorization", "text"),
    [
        ("Basic dXNlcjpzZWNyZXQ=", "Unsupported AWS 'algorithm'"),
        ("AWS4-HMAC-SHA512 Credential=a, SignedHeaders=b, Signature=c", "Unsupported AWS 'algorithm'"),
        ("", "Unsupported AWS 'algorithm'"),
        ("AWS4-HMAC-SHA256", "Invalid key=value pair (missing equal-sign)"),
        ("AWS4-HMAC-SHA256 Credential", "Invalid key=value pair (missing equal-sign)"),
        ("AWS4-HMAC-SHA256 Signature=a, Signature=b", "Invalid key=value pair"),
        (
            "AWS4-HMAC-SHA256 Foo=bar",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
            "parameter. Authorization header requires 'SignedHeaders' parameter.",
        ),
        (_authorization(scope="20260101/us-east-1/ses"), "Credential must have exactly 5 slash-delimited"),
    ],
)
def test_a_malformed_authorization_is_an_incomplete_signature_and_not_echoed(
    authorization: str, text: str
) -> None:
    refusal = _unsigned(authorization)
    assert (refusal.status, refusal.code) == (400, "IncompleteSignature")
    assert refusal.message.startswith(text)
    assert "dXNlcjpzZWNyZXQ=" not in refusal.message


def test_the_missing_parameters_are_told_with_the_hash_of_the_header() -> None:
    header = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b"
    digest = base64.b64encode(hashlib.sha256(header.encode()).digest()).decode()
    assert _unsigned(header).message == (
        "Authorization header requires 'Signature' parameter. "
        f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}"
    )


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (None, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."),
        ("2026-01-01T00:00:00Z", "Date must be in ISO-8601 'basic format'. Got '2026-01-01T00:00:00Z'."),
        ("20261301T000000Z", "Date must be in ISO-8601 'basic format'. Got '20261301T000000Z'."),
        ("00000101T000000Z", "Date must be in ISO-8601 'basic format'. Got '00000101T000000Z'."),
    ],
)
def test_a_date_that_is_missing_or_no_date_is_an_incomplete_signature(stamp: str | None, text: str) -> None:
    refusal = _unsigned(_authorization(), stamp=stamp)
    assert (refusal.status, refusal.code) == (400, "IncompleteSignature")
    assert text in refusal.message


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (
            "20260101/us-east-2/ses/aws4_request",
            "Credential should be scoped to a valid region, not 'us-east-2'. ",
        ),
        ("20260101/us-east-1/email/aws4_request", "Credential should be scoped to correct service: 'ses'. "),
        (
            "20260101/us-east-1/ses/aws4",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'. ",
        ),
        (
            "20251231/us-east-1/ses/aws4_request",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            "'20251231' != '20260101', from '20260101T000000Z'. ",
        ),
    ],
)
def test_a_wrong_scope_is_told(scope: str, text: str) -> None:
    refusal = _unsigned(_authorization(scope=scope))
    assert (refusal.status, refusal.code, refusal.message) == (403, "InvalidSignatureException", text)


@pytest.mark.parametrize(
    ("signed", "text"),
    [
        ("x-amz-date", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."),
        ("host", "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."),
    ],
)
def test_host_and_date_must_be_signed(signed: str, text: str) -> None:
    refusal = _unsigned(_authorization(signed=signed))
    assert (refusal.status, refusal.code, refusal.message) == (403, "InvalidSignatureException", text)


def test_an_old_signature_is_expired_in_the_words_of_aws() -> None:
    refusal = _unsigned(_authorization(), now="20260101T002000Z")
    assert (refusal.status, refusal.code) == (403, "InvalidSignatureException")
    assert refusal.message == (
        "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)"
    )


def test_a_signature_from_the_future_is_not_yet_current_in_the_words_of_aws() -> None:
    refusal = _unsigned(_authorization(), stamp="20260101T092200Z", now="20260101T091615Z")
    assert (refusal.status, refusal.code) == (403, "InvalidSignatureException")
    assert refusal.message == (
        "Signature not yet current: 20260101T092200Z is still later than 20260101T092115Z "
        "(20260101T091615Z + 5 min.)"
    )


@pytest.mark.parametrize(("late", "good"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_five_minutes_are_forgiven_and_no_second_more(late: float, good: bool) -> None:
    assert (Signed().verdict(late=late) == GOOD) is good


@pytest.mark.parametrize("junk", ["Credential=\xff/\xfe/a/b/c", "Credential=////", "Credential=a/b/c/d/e"])
def test_any_bytes_in_the_authorization_get_a_verdict(junk: str) -> None:
    refusal = _unsigned(f"AWS4-HMAC-SHA256 {junk}, SignedHeaders=\xe9;;host, Signature=\xfc")
    assert 400 <= refusal.status < 500


def _suite() -> list[Any]:
    """One of our own, then what else is at hand."""
    path = VECTORS / "sigv4-suite.json"
    more = json.loads(path.read_text())["cases"] if path.exists() else []
    return [pytest.param(case, id=case["name"]) for case in [suite_case(), *more]]


@pytest.mark.parametrize("case", _suite())
def test_the_signature_suite_is_recomputed(case: dict[str, Any]) -> None:
    request, expected = case["request"], case["expected"]
    headers = [
        (n.encode(), v.encode()) for n, v in request["headers"] + expected.get("signed_headers_sent", [])
    ]
    stamp = case["timestamp"].replace("-", "").replace(":", "")
    received = {name.lower() for name, _ in headers}
    if b"x-amz-date" not in received:
        headers.append((b"X-Amz-Date", stamp.encode()))
    signed = expected["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    if "x-amz-security-token" in signed and b"x-amz-security-token" not in received:
        headers.append((b"X-Amz-Security-Token", case["credentials"]["token"].encode()))
    payload_hash = hashlib.sha256(request["body"].encode()).hexdigest()
    canonical = canonical_request(
        SignedRequest(request["method"], request["target"].encode(), headers, payload_hash), signed
    )
    assert canonical is not None
    if "canonical_request" in expected:
        assert canonical.decode() == expected["canonical_request"]
    scope = (stamp[:8], case["region"], case["service"], "aws4_request")
    assert (
        signature(canonical, case["credentials"]["secret_access_key"], stamp, scope) == expected["signature"]
    )


def _ses_requests() -> list[Any]:
    own = get_account()
    path = VECTORS / "ses-requests.json"
    more = json.loads(path.read_text())["vectors"] if path.exists() else []
    return [pytest.param(case, id=case["name"]) for case in [own, *more]]


@pytest.mark.parametrize("case", _ses_requests())
def test_requests_signed_for_ses_are_good(case: dict[str, Any]) -> None:
    parts = urlsplit(case["url"])
    default = {"https": ":443", "http": ":80"}[parts.scheme]
    headers = [
        (n.encode(), v.encode()) for n, v in case["headers"] if n.lower() not in ("host", "authorization")
    ]
    headers += [
        (b"Host", parts.netloc.removesuffix(default).encode()),
        (b"Authorization", case["authorization"].encode()),
    ]
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    received = SignedRequest(
        case["method"], target.encode(), headers, hashlib.sha256(case["body"].encode()).hexdigest()
    )
    credential = Credential(**case["credentials"])
    now = _epoch(case["timestamp"])
    refusal = verify(received, {credential.access_key_id: credential}, case["region"], now=now, skew=300)
    assert refusal is None
