"""The role of an EC2 instance, from its metadata service, version 2 alone.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html

Version 1 is never fallen back on: any request forged in this host's name could read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from rq_ses_worker.identity.exchange import NoReply, Reply, exchange
from rq_ses_worker.identity.provider import Grant, NotConfigured, ProviderFailed, grant, read_json
from rq_ses_worker.ses.wire.url import plain_url

DISABLED: Final = "AWS_EC2_METADATA_DISABLED"
ENDPOINT: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
MODE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"
TIMEOUT: Final = "AWS_METADATA_SERVICE_TIMEOUT"

_IPV4, _IPV6 = "http://169.254.169.254", "http://[fd00:ec2::254]"
_ROLE: Final = "/latest/meta-data/iam/security-credentials/"
_TOKEN_SECONDS: Final = "21600"  # noqa: S105 - how long the token lives
_LONGEST_TIMEOUT: Final = 30.0
"""Seconds."""
_EXTENSION: Final = timedelta(minutes=15)
"""Time for which credentials that have ended are used before EC2 is asked again."""


class InstanceMetadata:
    """Ask the instance's metadata service for a token, the role's name and its credentials.

    Where nothing answers, this is no EC2 instance, and nothing is configured. `clock` gives epoch seconds.
    """

    name = "EC2 instance metadata (IMDSv2)"

    def __init__(self, environment: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> None:
        self._environment = environment
        self._clock = clock

    def load(self) -> Grant | NotConfigured:
        """Fetch the role's credentials. Raises ProviderFailed."""
        if self._environment.get(DISABLED, "").lower() == "true":
            return NotConfigured(f"{DISABLED} is true")
        base, timeout = self._base(), self._timeout()
        try:
            answer = exchange(
                "PUT", f"{base}/latest/api/token",
                {"X-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}, timeout=timeout,
            )  # fmt: skip
        except NoReply as exc:
            return NotConfigured(
                f"nothing answers at {base}: {exc} In a container on EC2, set the hop limit to 2"
            )
        if answer.status in (400, 403, 404, 405):
            return NotConfigured(f"{base} gives no IMDSv2 token (HTTP {answer.status}); IMDSv1 is not used")
        token = _text(answer, "the token")
        try:
            return self._credentials(base, {"X-aws-ec2-metadata-token": token}, timeout)
        except NoReply as exc:
            raise ProviderFailed(str(exc)) from exc

    def _credentials(self, base: str, headers: Mapping[str, str], timeout: float) -> Grant | NotConfigured:
        roles = exchange("GET", base + _ROLE, headers, timeout=timeout)
        if roles.status == 404:
            return NotConfigured("the instance has no role: attach an instance profile")
        role = _text(roles, "the role's name").splitlines()[0]
        answer = exchange("GET", base + _ROLE + quote(role, safe=""), headers, timeout=timeout)
        document = read_json(_text(answer, "the credentials"), otherwise="the answer is no JSON")
        if isinstance(document, dict) and document.get("Code", "Success") != "Success":
            raise ProviderFailed(f"it refuses: {document.get('Code')}: {document.get('Message', '')}")
        return self._extended(grant("the answer", document, session_member="Token", must_expire=True))

    def _extended(self, found: Grant) -> Grant:
        # While EC2 can't renew a role's credentials it gives out the old ones, and services take them: AWS's
        # SDKs call that static stability.
        soonest = datetime.fromtimestamp(self._clock(), UTC) + _EXTENSION
        return replace(found, expires=soonest) if found.expires and found.expires < soonest else found

    def _base(self) -> str:
        given = self._environment.get(ENDPOINT)
        if given:
            try:
                return plain_url(ENDPOINT, given).url.rstrip("/")
            except ValueError as exc:
                raise ProviderFailed(str(exc), lasting=True) from None
        return _IPV6 if self._environment.get(MODE, "").lower() == "ipv6" else _IPV4

    def _timeout(self) -> float:
        try:
            return min(max(float(self._environment.get(TIMEOUT) or 1.0), 0.1), _LONGEST_TIMEOUT)
        except ValueError:
            raise ProviderFailed(f"{TIMEOUT} is not a number of seconds", lasting=True) from None


def _text(answer: Reply, what: str) -> str:
    text = answer.body.decode("utf-8", "replace").strip()
    if answer.status != 200 or not text:
        raise ProviderFailed(
            f"asked for {what}, it answered {f'HTTP {answer.status}' if text else 'nothing'}"
        )
    if what == "the token" and not (text.isascii() and text.isprintable()):
        raise ProviderFailed("its token can't stand in a header")
    return text
