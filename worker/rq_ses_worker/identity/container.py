"""The credentials endpoint of a container: Amazon ECS, EKS Pod Identity, and what imitates them.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from rq_ses_worker.identity.exchange import NoReply, exchange
from rq_ses_worker.identity.provider import Grant, NotConfigured, ProviderFailed, grant, read_json
from rq_ses_worker.identity.tokenfile import read_token
from rq_ses_worker.ses.wire.route import Route
from rq_ses_worker.ses.wire.url import is_loopback, masked

RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a name
TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105

_ECS: Final = "http://169.254.170.2"
_PLAIN_HOSTS: Final = frozenset({"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"})
"""Link-local addresses of ECS and EKS, which speak http; every other host must be this machine or https."""

_TIMEOUT: Final = 2.0
"""Seconds, as in botocore."""


class ContainerEndpoint:
    """Ask the endpoint that the container's environment names, never through a proxy."""

    name = "container endpoint"

    def __init__(self, environment: Mapping[str, str], *, ca_bundle: str | None = None) -> None:
        self._environment = environment
        self._ca_bundle = ca_bundle

    def load(self) -> Grant | NotConfigured:
        """Fetch credentials. Raises ProviderFailed."""
        relative, full = self._environment.get(RELATIVE), self._environment.get(FULL)
        if relative:
            if not relative.startswith("/"):
                raise ProviderFailed(f"{RELATIVE} {relative!r} must begin with a slash", lasting=True)
            url = _checked(RELATIVE, _ECS + relative)
        elif full:
            url = _checked(FULL, full)
        else:
            return NotConfigured(f"neither {RELATIVE} nor {FULL} is set")
        headers = {"Accept": "application/json", **self._authorization()}
        try:
            reply = exchange("GET", url, headers, timeout=_TIMEOUT, route=Route(ca_bundle=self._ca_bundle))
        except NoReply as exc:
            raise ProviderFailed(str(exc)) from exc
        if reply.status != 200:
            raise ProviderFailed(f"it answered HTTP {reply.status}")
        document = read_json(reply.body, otherwise="its answer is no JSON")
        return grant("its answer", document, session_member="Token", must_expire=True)

    def _authorization(self) -> dict[str, str]:
        path = self._environment.get(TOKEN_FILE)
        token = read_token(path, TOKEN_FILE) if path else self._environment.get(TOKEN, "")
        if not token:
            return {}
        if not (token.isascii() and token.isprintable()):
            raise ProviderFailed(
                f"the token of {TOKEN_FILE if path else TOKEN} holds a line break or another character "
                "that a header can't: copy it again",
                lasting=True,
            )
        return {"Authorization": token}


def _checked(name: str, url: str) -> str:
    # A query may hold a token.
    shown = repr(masked(url.partition("?")[0]))
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise ProviderFailed(f"{name} {shown} is not a URL", lasting=True) from None
    host = (parts.host or "").lower()
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.auth
        or "\\" in url
        or not url.isprintable()
    ):
        raise ProviderFailed(f"{name} {shown} is not the URL of a server", lasting=True)
    if parts.scheme == "http" and not (host in _PLAIN_HOSTS or is_loopback(host)):
        raise ProviderFailed(
            f"{name} {shown} is neither https nor at this machine, 169.254.170.2, 169.254.170.23 "
            "or [fd00:ec2::23]: use one of them",
            lasting=True,
        )
    return parts._replace(fragment=None).url
