"""Where SES is: its region, and whatever puts another address in place of its own there."""

from __future__ import annotations

import os
from typing import Any, Final

from pydantic import ValidationInfo, field_validator, model_validator

from rq_ses.settings.base import Settings
from rq_ses.settings.gate import PROFILE, given_profile, region_setting, with_the_profiles_region
from rq_ses.settings.setting import setting
from rq_ses.settings.together import ENVIRONMENT
from rq_ses_worker.identity.endpoints import GLOBAL, configured_endpoint, variable
from rq_ses_worker.settings import values

_ANY_REGION: Final = "us-east-1"
_SERVICE: Final = "sesv2"
_ENDPOINTS: Final = (variable(_SERVICE), GLOBAL)


def _switches(info: ValidationInfo) -> dict[str, Any]:
    return {name: info.data.get(name, False) for name in ("allow_http", "use_fips", "use_dualstack")}


class EndpointSettings(Settings):
    """Which endpoint mails go to. An address is judged by the settings that stand above it."""

    allow_http: bool = setting(
        False, "Allow an `http://` endpoint of SES that isn't on loopback.", option="--allow-http"
    )
    use_fips: bool = setting(
        False,
        "Use the FIPS endpoints of SES and STS, in regions where SES has one.",
        variables=("RQ_SES_USE_FIPS", "AWS_USE_FIPS_ENDPOINT"),
    )
    use_dualstack: bool = setting(
        False,
        "Use the endpoints of SES and STS that have IPv6 addresses, too.",
        variables=("RQ_SES_USE_DUALSTACK", "AWS_USE_DUALSTACK_ENDPOINT"),
    )
    base_url: str | None = setting(
        None,
        "URL in place of SES's own, for tests and gateways; https unless it is on loopback.",
        option="--base-url URL",
    )
    aws_endpoint_url: str | None = setting(
        None,
        "The same by AWS's names, where there is no `RQ_SES_BASE_URL`; else the profile's "
        "([order](settings.md#credentials-and-endpoints)).",
        variables=_ENDPOINTS,
    )
    aws_region: str = region_setting(...)
    aws_profile: str | None = PROFILE

    @model_validator(mode="before")
    @classmethod
    def _ask_the_profile(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        found = with_the_profiles_region(given)
        if "aws_endpoint_url" not in found:
            endpoint = configured_endpoint(_SERVICE, given_profile(given), os.environ)
            found = {name: value for name, value in found.items() if name not in _ENDPOINTS}
            if endpoint:
                found["aws_endpoint_url"] = endpoint.url
        return found

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        from rq_ses_worker.ses.endpoint import Endpoint

        if url is not None:
            Endpoint(_ANY_REGION, url, **_switches(info))
        return url

    @field_validator("aws_endpoint_url")
    @classmethod
    def _check_endpoint(cls, url: str | None, info: ValidationInfo) -> str | None:
        # What doesn't count may be anything.
        if info.data.get("base_url", ""):
            return url
        with values.placed(_SERVICE, url):
            return cls._check_base_url(url, info)

    @field_validator("aws_region")
    @classmethod
    def _check_region(cls, region: str, info: ValidationInfo) -> str:
        from rq_ses_worker.ses.endpoint import Endpoint, check_region

        check_region(region)
        # With an address of its own any region may be signed; with a wrong one, that is what is told.
        if info.data.get("base_url", "") is None and info.data.get("aws_endpoint_url", "") is None:
            Endpoint(region, **_switches(info))
        return region

    @property
    def endpoint(self) -> str | None:
        """The address that mails go to in place of SES's own in the region; None if it is SES's own."""
        return self.base_url or self.aws_endpoint_url

    @property
    def endpoint_place(self) -> str:
        """What gives `endpoint`, "" if nothing does: a variable, a file, a profile."""
        if self.base_url:
            file = self.origin("base_url")
            return f"base_url of {file}" if file not in ("", ENVIRONMENT) else "RQ_SES_BASE_URL"
        found = configured_endpoint(_SERVICE, self.aws_profile, os.environ)
        return found.place if found and self.aws_endpoint_url else ""
