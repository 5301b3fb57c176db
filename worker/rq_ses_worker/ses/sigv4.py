"""AWS Signature Version 4, one function for each step under the name AWS gives it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

Everything here is pure. Two rules of AWS's are easily missed: a service other than S3 takes the path without
dot segments and double slashes and percent-encodes it once more (`a%20b` is signed as `a%2520b`), and a
signed header's inner white space counts as one blank.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from rq_ses_worker.ses.credentials import Credentials

__all__ = ["Credentials", "sign"]

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCOPE_PART: Final = re.compile(r"[!-+\--.0-~]+")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    *,
    service: str = "ses",
    now: datetime,
) -> dict[str, str]:
    """Return the headers to add to a request: X-Amz-Date, X-Amz-Security-Token if any, Authorization.

    The host of `url`, the date, the token and every one of `headers` are signed. A given Host is what will be
    sent and is signed instead of the url's; a given X-Amz-Date or Authorization is of an earlier attempt and
    is left out; X-Amz-Content-SHA256, if given, is taken for the hash of the body, as AWS does.
    Raises ValueError if `now` is naive, the url has no host, or a header's name, region or service isn't a
    word that can stand in a header.
    """
    amz_date = _amz_date(now)
    host, uri, query = _split(url)
    to_sign = _headers_to_sign(headers, host, amz_date, credentials.session_token)
    payload_hash = to_sign.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    names = signed_headers(to_sign)
    request = canonical_request(method, uri, query, canonical_headers(to_sign), names, payload_hash)
    scope = credential_scope(amz_date[:8], region, service)
    key = signing_key(credentials.secret_access_key, amz_date[:8], region, service)
    hex_signature = signature(key, string_to_sign(amz_date, scope, request))
    added = {"X-Amz-Date": amz_date}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token
    added["Authorization"] = authorization(credentials.access_key_id, scope, names, hex_signature)
    return added


def canonical_uri(path: str) -> str:
    """Return the path as it is signed: no dot segments, no double slashes, percent-encoded once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + tail, safe="/~")


def canonical_query_string(query: str) -> str:
    """Return the query sorted by key, then value, every key with its `=`.

    What is percent-encoded already stays as it is written, since that is what will be sent; only characters
    outside ASCII, which no URL can hold, are encoded here.
    """
    if not query:
        return ""
    encoded = _NOT_ASCII.sub(lambda run: quote(run[0], safe=""), query)
    pairs = sorted(pair.partition("=")[::2] for pair in encoded.split("&"))
    return "&".join([f"{key}={value}" for key, value in pairs])


def canonical_headers(headers: Mapping[str, str]) -> str:
    """Return one line for each header, which must be in lower case, sorted and trimmed already."""
    return "".join([f"{name}:{value}\n" for name, value in headers.items()])


def signed_headers(headers: Mapping[str, str]) -> str:
    """Return the names of the signed headers, which must be sorted already."""
    return ";".join(headers)


def canonical_request(
    method: str, uri: str, query: str, header_lines: str, header_names: str, payload_hash: str
) -> str:
    """Return the canonical form of the whole request; every part must be canonical already."""
    return f"{method.upper()}\n{uri}\n{query}\n{header_lines}\n{header_names}\n{payload_hash}"


@lru_cache(maxsize=64)
def credential_scope(date: str, region: str, service: str) -> str:
    """Return the scope in which a signature is valid; `date` is YYYYMMDD.

    Raises ValueError if region or service is empty or would break out of the header it stands in.
    """
    for name, value in (("region", region), ("service", service)):
        if not _SCOPE_PART.fullmatch(value):
            raise ValueError(f"{name} {value!r} cannot be signed: use a name like us-east-1 or ses")
    return f"{date}/{region}/{service}/{TERMINATOR}"


def string_to_sign(amz_date: str, scope: str, request: str) -> str:
    """Return what the signing key signs: algorithm, time, scope and the hash of the canonical request."""
    return f"{ALGORITHM}\n{amz_date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"


@lru_cache(maxsize=64)
def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """Return the key of one day, region and service; it is as secret as what it is made from."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, to_sign: str) -> str:
    """Return the signature in lower-case hexadecimal digits."""
    begun = _begun(key).copy()
    begun.update(to_sign.encode())
    return begun.hexdigest()


@lru_cache(maxsize=64)
def _begun(key: bytes) -> hmac.HMAC:
    # The key itself is half of what has to be hashed for each signature.
    return hmac.new(key, digestmod="sha256")


def authorization(access_key_id: str, scope: str, header_names: str, hex_signature: str) -> str:
    """Return the value of the Authorization header."""
    credential = f"{access_key_id}/{scope}"
    return f"{ALGORITHM} Credential={credential}, SignedHeaders={header_names}, Signature={hex_signature}"


@lru_cache(maxsize=64)
def host_header(url: str) -> str:
    """Return the Host header a request to `url` carries: lower case, without the scheme's default port.

    Raises ValueError if the url has no host or an impossible port.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if not host:
        raise ValueError("the url has no host: it must begin like https://host/")
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


@lru_cache(maxsize=64)
def _split(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    return host_header(url), canonical_uri(parts.path), canonical_query_string(parts.query)


def _amz_date(now: datetime) -> str:
    if now.tzinfo is not UTC:
        if now.utcoffset() is None:
            raise ValueError("now must be an aware datetime: use datetime.now(UTC)")
        now = now.astimezone(UTC)
    # Not strftime: it is slower and writes the years before 1000 with fewer than four digits.
    return f"{_minute(now.year, now.month, now.day, now.hour, now.minute)}{now.second:02}Z"


@lru_cache(maxsize=4)
def _minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}{month:02}{day:02}T{hour:02}{minute:02}"


@lru_cache(maxsize=256)
def _canonical_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header (RFC 9110, section 5.1)")
    return name.lower()


def _headers_to_sign(
    headers: Mapping[str, str], host: str, amz_date: str, token: str | None
) -> dict[str, str]:
    found: dict[str, str] = {"host": host}
    given: set[str] = set()
    for name, value in headers.items():
        lower = _canonical_name(name)
        trimmed = " ".join(value.split())
        if lower in given:
            trimmed = f"{found[lower]},{trimmed}"
        given.add(lower)
        found[lower] = trimmed
    found.pop("authorization", None)
    found["x-amz-date"] = amz_date
    if token is not None:
        found["x-amz-security-token"] = token
    return dict(sorted(found.items()))
