"""What a signature is made over, rebuilt from the bytes received.

Written from AWS's description of Signature Version 4, on purpose without the signer of this package: an
error made twice in the same place would never be seen.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"

Headers = Sequence[tuple[bytes, bytes]]
"""Names and values as received, in order."""

Scope = tuple[str, str, str, str]
"""Day, region, service, terminator."""


class SignedRequest:
    """One request as it came over the wire; `target` is the path with its query, undecoded."""

    __slots__ = ("_values", "method", "payload_hash", "target")

    def __init__(self, method: str, target: bytes, headers: Headers, payload_hash: str) -> None:
        self.method = method
        self.target = target
        self.payload_hash = payload_hash
        self._values: dict[str, list[bytes]] = {}
        for name, value in headers:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value)

    def values(self, name: str) -> list[bytes]:
        """Return the values of the header with this lower-case name, in the order received."""
        return self._values.get(name, [])


def canonical_request(request: SignedRequest, signed_headers: Sequence[str]) -> bytes | None:
    """Return SigV4's canonical request, or None when the signed headers are named wrongly or absent."""
    if list(signed_headers) != sorted({name.lower() for name in signed_headers}):
        return None
    lines = []
    for name in signed_headers:
        values = request.values(name)
        if not values:
            return None
        joined = b",".join(b" ".join(value.split()) for value in values)
        lines.append(name.encode("latin-1") + b":" + joined + b"\n")
    path, _, query = request.target.partition(b"?")
    return b"\n".join(
        [
            request.method.encode("latin-1"),
            _canonical_uri(path),
            _canonical_query(query),
            b"".join(lines),
            ";".join(signed_headers).encode("latin-1"),
            request.payload_hash.encode(),
        ]
    )


def _canonical_uri(path: bytes) -> bytes:
    # Every service but S3 encodes the path as sent once more: a%20b is signed as a%2520b.
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    last = b"/" if segments and path.endswith(b"/") else b""
    return quote_from_bytes(b"/" + b"/".join(segments) + last, safe="/~").encode()


def _canonical_query(query: bytes) -> bytes:
    pairs = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append(tuple(quote_from_bytes(unquote_to_bytes(x), safe="~") for x in (name, value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)).encode()


def signature(canonical: bytes, secret: str, timestamp: str, scope: Scope) -> str:
    """Return the signature, in hexadecimal, that belongs to a canonical request."""
    key = _signing_key(secret, *scope)
    return hmac.new(key, string_to_sign(canonical, timestamp, scope).encode(), hashlib.sha256).hexdigest()


def string_to_sign(canonical: bytes, timestamp: str, scope: Scope) -> str:
    """Return SigV4's string to sign for a canonical request."""
    hashed = hashlib.sha256(canonical).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{'/'.join(scope)}\n{hashed}"


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str, service: str, terminator: str) -> bytes:
    key = b"AWS4" + secret.encode("utf-8", "surrogateescape")
    for part in (day, region, service, terminator):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
