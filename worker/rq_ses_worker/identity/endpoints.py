"""Addresses in place of a service's own, where AWS's tools look for them, in their order.

    1. AWS_ENDPOINT_URL_SESV2 (or _STS)      3. the service in the `services` section of the profile
    2. AWS_ENDPOINT_URL                      4. endpoint_url of the profile

AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true, or the profile's ignore_configured_endpoint_urls, leaves all out.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from rq_ses.settings.awsfiles import DEFAULT, FilesUnreadable, Section, SharedFiles

GLOBAL: Final = "AWS_ENDPOINT_URL"
IGNORE: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


class ConfiguredEndpoint(NamedTuple):
    """A URL in place of a service's own, and what gives it: a variable, or a profile."""

    url: str
    place: str


def variable(service: str) -> str:
    """Return the variable for one service, such as AWS_ENDPOINT_URL_SESV2."""
    return f"{GLOBAL}_{service.upper()}"


def configured_endpoint(
    service: str, profile: str | None, environment: Mapping[str, str]
) -> ConfiguredEndpoint | None:
    """Return the address that counts for a service ("sesv2", "sts"); None if it is AWS's own.

    A profile (None: "default") that can't be read has none: whoever needs credentials from there is told.
    """
    section, own = _profile(service, profile or DEFAULT, environment)
    ignored = environment.get(IGNORE) or section.get(IGNORE.removeprefix("AWS_").lower(), "")
    if ignored.lower() == "true":
        return None
    found = (*_given(service, environment), *own)
    return next((endpoint for endpoint in found if endpoint.url), None)


def _given(service: str, environment: Mapping[str, str]) -> Iterator[ConfiguredEndpoint]:
    for name in (variable(service), GLOBAL):
        yield ConfiguredEndpoint(environment.get(name, ""), name)


def _profile(
    service: str, profile: str, environment: Mapping[str, str]
) -> tuple[Section, tuple[ConfiguredEndpoint, ...]]:
    try:
        profiles = SharedFiles.named_by(environment).read()
    except FilesUnreadable:
        return {}, ()
    section = profiles.merged(profile)
    named = section.get("services", "")
    of_service = _nested(profiles.services.get(named, {}).get(service, ""))
    return section, (
        ConfiguredEndpoint(of_service.get("endpoint_url", ""), f"the services {named} of profile {profile}"),
        ConfiguredEndpoint(section.get("endpoint_url", ""), f"endpoint_url of profile {profile}"),
    )


def _nested(text: str) -> Section:
    """Return the values of a key that has lines of its own below it."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
