"""Roles that are assumed through AWS STS: with a web identity's token, or with other credentials.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode
from xml.parsers import expat

from rq_ses.aws.regions import host, partition_of
from rq_ses_worker.identity.endpoints import ConfiguredEndpoint
from rq_ses_worker.identity.exchange import NoReply, exchange
from rq_ses_worker.identity.provider import Grant, NotConfigured, Provider, ProviderFailed, grant
from rq_ses_worker.identity.tokenfile import read_token
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.masking import Secrets
from rq_ses_worker.ses.redaction import redact
from rq_ses_worker.ses.sigv4 import sign
from rq_ses_worker.ses.wire.route import STRAIGHT, Route
from rq_ses_worker.ses.wire.url import secure_url

_VERSION: Final = "2011-06-15"
_FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
_MEMBERS: Final = frozenset(
    {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Code", "Message"}
)
_PASSING: Final = frozenset(
    {
        "ExpiredTokenException",
        "IDPCommunicationError",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
    }
)
"""Errors of STS with a status of 4xx that may be gone a moment later."""


def sts_url(region: str, *, use_fips: bool = False, use_dualstack: bool = False) -> str:
    """Return the address of STS in a region, by AWS's rules."""
    if use_fips and not use_dualstack and partition_of(region).name == "aws-us-gov":
        # There the usual endpoint is the FIPS one.
        use_fips = False
    return f"https://{host('sts', region, fips=use_fips, dualstack=use_dualstack)}/"


@dataclass(frozen=True, slots=True)
class Sts:
    """How STS is reached: its URL, the region that is signed, and the way there."""

    url: str
    region: str
    timeout: float = 5.0
    """Seconds for one call."""
    route: Route = STRAIGHT

    def ask(self, action: str, parameters: Mapping[str, str], signer: Credentials | None = None) -> Grant:
        """Make one call, signed if there is a signer, and return its credentials. Raises ProviderFailed."""
        body = urlencode({"Action": action, "Version": _VERSION, **parameters}).encode()
        headers = {"Content-Type": _FORM, "Accept": "application/xml"}
        if signer is not None:
            described = {"Content-Type": _FORM}
            now = datetime.now(UTC)
            headers |= sign("POST", self.url, described, body, signer, self.region, service="sts", now=now)
        try:
            reply = exchange("POST", self.url, headers, body, timeout=self.timeout, route=self.route)
        except NoReply as exc:
            raise ProviderFailed(f"{action}: {exc}") from exc
        members = _read(reply.body)
        if reply.status == 200:
            return grant(f"the answer to {action}", members, must_expire=True)
        secrets = (*(signer.secrets if signer else ()), parameters.get("WebIdentityToken", ""))
        masked = Secrets(secrets).masked
        code, words = masked(members.get("Code", "")), redact(masked(members.get("Message", "")))
        lasting = 400 <= reply.status < 500 and reply.status != 429 and code not in _PASSING
        raise ProviderFailed(f"{action} answered HTTP {reply.status} {code}: {words}", lasting=lasting)


class WebIdentity:
    """A role for the bearer of a token in a file, which Kubernetes (IRSA) or a CI replaces in time."""

    def __init__(
        self, sts: Callable[[], Sts], where: str, token_file: str, role: str, session: str | None
    ) -> None:
        self.name = f"web identity of {where}"
        self._sts = sts
        self._token_file = token_file
        self._role = role
        self._session = session

    def load(self) -> Grant | NotConfigured:
        """Assume the role. Raises ProviderFailed."""
        if not self._role:
            raise ProviderFailed(
                "there is a token file, but no role: set AWS_ROLE_ARN, or role_arn in the profile",
                lasting=True,
            )
        token = read_token(self._token_file, "the token file")
        if not token:
            raise ProviderFailed(f"the token file {self._token_file} is empty")
        return self._sts().ask(
            "AssumeRoleWithWebIdentity",
            {
                "RoleArn": self._role,
                "RoleSessionName": self._session or _session_name(),
                "WebIdentityToken": token,
            },
        )


class AssumedRole:
    """A role that is assumed with the credentials of another provider."""

    def __init__(
        self, sts: Callable[[], Sts], profile: str, role: str, source: Provider, options: Mapping[str, str]
    ) -> None:
        self.name = f"role of profile {profile}, by {source.name}"
        self._sts = sts
        self._role = role
        self._source = source
        self._options = options

    def load(self) -> Grant | NotConfigured:
        """Assume the role with credentials fetched anew. Raises ProviderFailed."""
        found = self._source.load()
        if isinstance(found, NotConfigured):
            raise ProviderFailed(f"{self._source.name} has no credentials: {found.reason}", lasting=True)
        parameters = {"RoleArn": self._role, "RoleSessionName": _session_name(), **self._options}
        return self._sts().ask("AssumeRole", parameters, found.credentials)


def sts_of(
    ses: Endpoint, configured: ConfiguredEndpoint | None = None, route: Route = STRAIGHT, timeout: float = 5.0
) -> Sts:
    """Return STS in the region of `ses` and by the same switches, or where it is `configured` to be.

    `timeout` are the seconds of one call. Raises ProviderFailed if the configured address isn't safe.
    """
    if configured is None:
        url = sts_url(ses.region, use_fips=ses.use_fips, use_dualstack=ses.use_dualstack)
        return Sts(url, ses.region, timeout, route)
    try:
        given = secure_url(configured.place, configured.url, allow_http=ses.allow_http)
    except ValueError as exc:
        raise ProviderFailed(str(exc), lasting=True) from None
    return Sts(given._replace(path=given.path or "/").url, ses.region, timeout, route)


def _session_name() -> str:
    return f"rq-ses-{int(time.time())}"


def _read(document: bytes) -> dict[str, str]:
    """Return the first text of each member that is looked for; what is no plain XML has none."""
    found: dict[str, str] = {}
    texts: list[str] = []
    # Whatever encoding it declares: a stranger's choice of codec is not looked up.
    parser = expat.ParserCreate("utf-8")

    def refuse(*_: Any) -> None:
        raise _HasDoctype

    def start(_name: str, _attributes: Any) -> None:
        texts.clear()

    def end(name: str) -> None:
        member = name.rpartition(":")[2]
        if member in _MEMBERS:
            found.setdefault(member, "".join(texts).strip())
        texts.clear()

    # Without a document type there are no entities, so nothing grows or is fetched.
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, _HasDoctype, ValueError):
        return {}
    return found


class _HasDoctype(Exception):
    pass
