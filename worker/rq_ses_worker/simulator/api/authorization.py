"""What the Authorization header says of a request's signature, or SES's refusal of one that doesn't say it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rq_ses_worker.simulator.api.answers import Refused, error
from rq_ses_worker.simulator.api.sigv4 import ALGORITHM, Scope, SignedRequest

_PARAMETERS: Final = ("Credential", "Signature", "SignedHeaders")
_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_NONE: Final = error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a request says of its own signature; `signed_at` is its timestamp in epoch seconds."""

    access_key_id: str
    scope: Scope
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    signed_at: float


def read_authorization(request: SignedRequest) -> Authorization:
    """Return what the request says of its signature; nothing of it is verified. Raises Refused."""
    headers = request.values("authorization")
    if not headers:
        raise Refused(_NONE)
    raw = b",".join(headers)
    # SES names the header only by its hash: what it holds may be a credential of another scheme.
    digest = base64.b64encode(hashlib.sha256(raw).digest()).decode()
    algorithm, _, rest = raw.decode("latin-1").strip().partition(" ")
    if algorithm != ALGORITHM or len(headers) > 1:
        raise _incomplete(
            f"Unsupported AWS 'algorithm' in Authorization header (SHA-256, Base64): '{digest}'."
        )
    parameters = _parameters(rest, digest)
    dates = request.values("x-amz-date")
    _check_complete(parameters, dates, digest)
    timestamp = b",".join(dates).decode("latin-1").strip()
    signed_at = _epoch(timestamp)
    key, scope = _credential(parameters["Credential"])
    signed_headers = tuple(parameters["SignedHeaders"].split(";"))
    return Authorization(key, scope, signed_headers, parameters["Signature"], timestamp, signed_at)


def _parameters(text: str, digest: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = pair.strip().partition("=")
        if not equals or name in parameters:
            raise _incomplete(
                "Invalid key=value pair (missing equal-sign) in Authorization header "
                f"(hashed with SHA-256 and encoded with Base64): '{digest}'."
            )
        parameters[name] = value
    return parameters


def _check_complete(parameters: Mapping[str, str], dates: Sequence[bytes], digest: str) -> None:
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in _PARAMETERS
        if not parameters.get(name)
    ]
    if not dates:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        hashed = f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}"
        raise _incomplete(" ".join([*missing, hashed]))


def _credential(text: str) -> tuple[str, Scope]:
    parts = text.split("/")
    if len(parts) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got {len(parts)}."
        )
    key, day, region, service, terminator = parts
    return key, (day, region, service, terminator)


def _epoch(timestamp: str) -> float:
    wrong = _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{timestamp[:64]}'.")
    match = _DATE.fullmatch(timestamp)
    if match is None:
        raise wrong
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError as exc:
        raise wrong from exc


def _incomplete(text: str) -> Refused:
    return Refused(error(400, "IncompleteSignature", text))
