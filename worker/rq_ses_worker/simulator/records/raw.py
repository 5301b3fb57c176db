"""A request as it came over the wire, and what its signature was made over: shown without any secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.api.authorization import read_authorization
from rq_ses_worker.simulator.api.sigv4 import ALGORITHM, SignedRequest, canonical_request, string_to_sign
from rq_ses_worker.simulator.api.verify import verify
from rq_ses_worker.simulator.options import Credential
from rq_ses_worker.simulator.records.parsed import ParsedMail, parse_mail

MASK: Final = "•••"

_SECRET_LINE: Final = re.compile(
    r"^(x-amz-security-token|cookie|proxy-authorization)([ \t]*:[ \t]*)(?=\S)[^\r\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_SECRET_QUERY: Final = re.compile(r"(X-Amz-Security-Token=)[^&\s]+", re.IGNORECASE)
_OTHER_SCHEME: Final = re.compile(
    rf"^(authorization[ \t]*:[ \t]*)(?=\S)(?!{ALGORITHM} )((?:\S+[ \t]+(?=\S))?)[^\r\n]+",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class RawRequest:
    """One request as received; `head` holds its header lines, `digest` the SHA-256 of its body in hex."""

    method: str
    target: bytes = field(repr=False)
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    digest: str

    @cached_property
    def parsed(self) -> ParsedMail | None:
        """What the body says, when it is a SendEmail request."""
        return parse_mail(self.body)

    @property
    def size(self) -> int:
        """Bytes it takes to keep it."""
        return len(self.target) + len(self.head) + len(self.body)

    @property
    def signed(self) -> SignedRequest:
        """The request in the form that is verified."""
        pairs = [line.partition(b": ") for line in self.head.split(b"\r\n")] if self.head else []
        return SignedRequest(
            self.method, self.target, [(name, value) for name, _, value in pairs], self.digest
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the simulator made of a signature, with tokens and secrets masked.

    `canonical_request` and `string_to_sign` are None when the request doesn't say what was signed.
    """

    code: str | None
    reason: str | None
    access_key_id: str | None = None
    signed_headers: str | None = None
    signature: str | None = None
    canonical_request: str | None = None
    string_to_sign: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, and whether the signature was good."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        return {"good": self.code is None, **shown}


def head_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return header lines as a RawRequest holds them."""
    return b"\r\n".join([name + b": " + value for name, value in headers])


def verdict(
    raw: RawRequest, credentials: Sequence[Credential], region: str, *, now: float, skew: float
) -> Verdict:
    """Judge a kept request again, as it was judged on arrival at `now` (epoch seconds of the simulator)."""
    known = {credential.access_key_id: credential for credential in credentials}
    request = raw.signed
    refusal = verify(request, known, region, now=now, skew=skew)
    code, reason = (refusal.code, refusal.message) if refusal else (None, None)
    try:
        auth = read_authorization(request)
    except Refused:
        return Verdict(code, _concealed(reason, credentials))
    canonical = canonical_request(request, auth.signed_headers)
    to_sign = None if canonical is None else string_to_sign(canonical, auth.timestamp, auth.scope)
    shown = None if canonical is None else canonical.decode("utf-8", "replace")
    return Verdict(
        code,
        *(
            _concealed(text, credentials)
            for text in (
                reason,
                auth.access_key_id,
                ";".join(auth.signed_headers),
                auth.signature,
                shown,
                to_sign,
            )
        ),
    )


def shown_headers(raw: RawRequest, credentials: Sequence[Credential]) -> list[tuple[str, str]]:
    """Return the headers as received; tokens, cookies and foreign credentials are masked."""
    text = conceal(raw.head.decode("utf-8", "replace"), credentials)
    pairs = [line.partition(": ") for line in text.split("\r\n")] if text else []
    return [(name, value) for name, _, value in pairs]


def shown_target(raw: RawRequest, credentials: Sequence[Credential]) -> str:
    """Return path and query as received, a session token in the query masked."""
    return conceal(raw.target.decode("utf-8", "replace"), credentials)


def conceal(text: str, credentials: Iterable[Credential]) -> str:
    """Return `text` without the secrets this simulator knows, and without what are secrets by their names."""
    for credential in credentials:
        for secret in (credential.secret_access_key, credential.session_token):
            if secret:
                text = text.replace(secret, MASK)
    text = _SECRET_QUERY.sub(rf"\1{MASK}", _SECRET_LINE.sub(rf"\1\2{MASK}", text))
    return _OTHER_SCHEME.sub(rf"\1\2{MASK}", text)


def _concealed(text: str | None, credentials: Sequence[Credential]) -> str | None:
    return None if text is None else conceal(text, credentials)
