"""Whether a request's signature is good, and in SES's words why not."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from rq_ses_worker.simulator.api.answers import Answer, Refused, error
from rq_ses_worker.simulator.api.authorization import Authorization, read_authorization
from rq_ses_worker.simulator.api.sigv4 import (
    TERMINATOR,
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


def verify(
    request: SignedRequest, credentials: Mapping[str, Credential], region: str, *, now: float, skew: float
) -> Answer | None:
    """Return why SES would refuse the signature, or None when it is good.

    `credentials` are keyed by access key id, `now` is in epoch seconds, `skew` in seconds.
    """
    try:
        auth = read_authorization(request)
    except Refused as refused:
        return refused.answer
    credential = credentials.get(auth.access_key_id)
    if credential is None:
        return _UNKNOWN_CLIENT
    return (
        _token_refusal(request, credential)
        or _unsigned_refusal(auth, credential)
        or _scope_refusal(auth, region)
        or _clock_refusal(auth, now, skew)
        or _signature_refusal(request, auth, credential)
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


def _unsigned_refusal(auth: Authorization, credential: Credential) -> Answer | None:
    wanted = {"host": "'Host' or ':authority'", "x-amz-date": "'X-Amz-Date'"}
    if credential.session_token is not None:
        wanted["x-amz-security-token"] = "'X-Amz-Security-Token'"
    texts = [
        f"{title} must be a 'SignedHeader' in the AWS Authorization."
        for name, title in wanted.items()
        if name not in auth.signed_headers
    ]
    return error(403, "InvalidSignatureException", " ".join(texts)) if texts else None


def _scope_refusal(auth: Authorization, region: str) -> Answer | None:
    day, region_signed, service, terminator = auth.scope
    texts = []
    if region_signed != region:
        texts.append(f"Credential should be scoped to a valid region, not '{region_signed[:64]}'. ")
    if service != SERVICE:
        texts.append(f"Credential should be scoped to correct service: '{SERVICE}'. ")
    if terminator != TERMINATOR:
        texts.append(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator[:64]}'. "
        )
    if day != auth.timestamp[:8]:
        texts.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day[:64]}' != '{auth.timestamp[:8]}', from '{auth.timestamp}'. "
        )
    return error(403, "InvalidSignatureException", "".join(texts)) if texts else None


def _clock_refusal(auth: Authorization, now: float, skew: float) -> Answer | None:
    now = int(now)
    if now - skew <= auth.signed_at <= now + skew:
        return None
    minutes = f"{skew / 60:g} min."
    if auth.signed_at < now:
        text = (
            f"Signature expired: {auth.timestamp} is now earlier than {_stamp(now - skew)} ({_stamp(now)} - "
        )
    else:
        text = (
            f"Signature not yet current: {auth.timestamp} is still later than {_stamp(now + skew)} "
            f"({_stamp(now)} + "
        )
    return error(403, "InvalidSignatureException", f"{text}{minutes})")


def _signature_refusal(request: SignedRequest, auth: Authorization, credential: Credential) -> Answer | None:
    for declared in request.values("x-amz-content-sha256"):
        if declared.decode("latin-1").strip() != request.payload_hash:
            return _MISMATCH
    canonical = canonical_request(request, auth.signed_headers)
    if canonical is None:
        return _MISMATCH
    expected = signature(canonical, credential.secret_access_key, auth.timestamp, auth.scope)
    matches = hmac.compare_digest(expected.encode(), auth.signature.encode("latin-1"))
    return None if matches else _MISMATCH


def _stamp(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%dT%H%M%SZ")
