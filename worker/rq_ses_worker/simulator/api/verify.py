"""The verdict on a request's signature, in SES's words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rq_ses_worker.simulator.api.answers import Answer, error
from rq_ses_worker.simulator.api.sigv4 import (
    ALGORITHM,
    TERMINATOR,
    Scope,
    SignedRequest,
    canonical_request,
    signature,
)
from rq_ses_worker.simulator.options import Credential

SERVICE: Final = "ses"

_MISMATCH: Final = error(
    403,
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details.",
)
_UNKNOWN_CLIENT: Final = error(
    403, "UnrecognizedClientException", "The security token included in the request is invalid."
)
_NO_AUTHORIZATION: Final = error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")


def verify(
    request: SignedRequest, credentials: Mapping[str, Credential], region: str, *, now: float, skew: float
) -> Answer | None:
    """Return why SES would refuse the signature, or None when it is good.

    `credentials` are keyed by access key id, `now` is in epoch seconds, `skew` in seconds.
    """
    claimed = claim(request)
    if isinstance(claimed, Answer):
        return claimed
    credential = credentials.get(claimed.access_key_id)
    if credential is None:
        return _UNKNOWN_CLIENT
    return (
        _token_refusal(request, credential)
        or _unsigned_refusal(claimed, credential)
        or _scope_refusal(claimed, region)
        or _clock_refusal(claimed, now, skew)
        or _signature_refusal(request, claimed, credential)
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """What the request says of its own signature."""

    access_key_id: str
    scope: Scope
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    signed_at: float


def claim(request: SignedRequest) -> Claim | Answer:
    """Return what the request says of its signature, or the refusal of one that doesn't say it."""
    authorizations = request.values("authorization")
    if not authorizations:
        return _NO_AUTHORIZATION
    raw = b",".join(authorizations)
    # SES names the header only by its hash: what it holds may be a credential of another scheme.
    digest = base64.b64encode(hashlib.sha256(raw).digest()).decode()
    algorithm, _, rest = raw.decode("latin-1").strip().partition(" ")
    if algorithm != ALGORITHM or len(authorizations) > 1:
        return _incomplete(
            f"Unsupported AWS 'algorithm' in Authorization header (SHA-256, Base64): '{digest}'."
        )
    parameters: dict[str, str] = {}
    for pair in rest.split(","):
        name, equals, value = pair.strip().partition("=")
        if not equals or name in parameters:
            return _incomplete(
                "Invalid key=value pair (missing equal-sign) in Authorization header "
                f"(hashed with SHA-256 and encoded with Base64): '{digest}'."
            )
        parameters[name] = value
    dates = request.values("x-amz-date")
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parameters.get(name)
    ]
    if not dates:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        hashed = f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}"
        return _incomplete(" ".join([*missing, hashed]))
    timestamp = b",".join(dates).decode("latin-1").strip()
    signed_at = _epoch(timestamp)
    if signed_at is None:
        return _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{timestamp[:64]}'.")
    parts = parameters["Credential"].split("/")
    if len(parts) != 5:
        return _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got {len(parts)}."
        )
    key, day, region, service, terminator = parts
    signed = tuple(parameters["SignedHeaders"].split(";"))
    return Claim(
        key, (day, region, service, terminator), signed, parameters["Signature"], timestamp, signed_at
    )


def _token_refusal(request: SignedRequest, credential: Credential) -> Answer | None:
    tokens = request.values("x-amz-security-token")
    expected = (
        []
        if credential.session_token is None
        else [credential.session_token.encode("utf-8", "surrogateescape")]
    )
    if len(tokens) != len(expected):
        return _UNKNOWN_CLIENT
    for token, wanted in zip(tokens, expected, strict=True):
        if not hmac.compare_digest(token.strip(), wanted):
            return _UNKNOWN_CLIENT
    return None


def _unsigned_refusal(claim: Claim, credential: Credential) -> Answer | None:
    wanted = {"host": "'Host' or ':authority'", "x-amz-date": "'X-Amz-Date'"}
    if credential.session_token is not None:
        wanted["x-amz-security-token"] = "'X-Amz-Security-Token'"
    texts = [
        f"{title} must be a 'SignedHeader' in the AWS Authorization."
        for name, title in wanted.items()
        if name not in claim.signed_headers
    ]
    return error(403, "InvalidSignatureException", " ".join(texts)) if texts else None


def _scope_refusal(claim: Claim, region: str) -> Answer | None:
    day, claimed_region, service, terminator = claim.scope
    texts = []
    if claimed_region != region:
        texts.append(f"Credential should be scoped to a valid region, not '{claimed_region[:64]}'. ")
    if service != SERVICE:
        texts.append(f"Credential should be scoped to correct service: '{SERVICE}'. ")
    if terminator != TERMINATOR:
        texts.append(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator[:64]}'. "
        )
    if day != claim.timestamp[:8]:
        texts.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day[:64]}' != '{claim.timestamp[:8]}', from '{claim.timestamp}'. "
        )
    return error(403, "InvalidSignatureException", "".join(texts)) if texts else None


def _clock_refusal(claim: Claim, now: float, skew: float) -> Answer | None:
    now = int(now)
    if now - skew <= claim.signed_at <= now + skew:
        return None
    minutes = f"{skew / 60:g} min."
    if claim.signed_at < now:
        text = (
            f"Signature expired: {claim.timestamp} is now earlier than {_stamp(now - skew)} ({_stamp(now)} - "
        )
    else:
        text = (
            f"Signature not yet current: {claim.timestamp} is still later than {_stamp(now + skew)} "
            f"({_stamp(now)} + "
        )
    return error(403, "InvalidSignatureException", f"{text}{minutes})")


def _signature_refusal(request: SignedRequest, claim: Claim, credential: Credential) -> Answer | None:
    for declared in request.values("x-amz-content-sha256"):
        if declared.decode("latin-1").strip() != request.payload_hash:
            return _MISMATCH
    canonical = canonical_request(request, claim.signed_headers)
    if canonical is None:
        return _MISMATCH
    expected = signature(canonical, credential.secret_access_key, claim.timestamp, claim.scope)
    matches = hmac.compare_digest(expected.encode(), claim.signature.encode("latin-1"))
    return None if matches else _MISMATCH


def _epoch(timestamp: str) -> float | None:
    match = _DATE.fullmatch(timestamp)
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, match.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _stamp(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%dT%H%M%SZ")


def _incomplete(text: str) -> Answer:
    return error(400, "IncompleteSignature", text)
