"""What a command needs to find an SES account's gate: Redis, the account's name, and its region."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, model_validator

from rq_ses import contract
from rq_ses.settings.awsfiles import profile_region
from rq_ses.settings.config import read_config
from rq_ses.settings.loading import CONFIG, CONFIG_VARIABLE, load_settings
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.setting import setting
from rq_ses.text.invalid import shown

REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
PROFILES: Final = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _named(kind: str) -> AfterValidator:
    def check(name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{shown(name)} is not the name of {kind}: use 1-64 ASCII letters, digits, hyphens, _"
            )
        return name

    return AfterValidator(check)


AccountName = Annotated[str, _named("an account")]
"""Name of an SES account among those that share a Redis."""

RegionName = Annotated[str, _named("a region")]

ACCOUNT: Final = setting(
    contract.DEFAULT_ACCOUNT,
    "Name of the SES account, where several share a Redis: [its gate](rate.md) goes by it.",
    option="--account NAME",
)
PROFILE: Final = setting(
    None,
    "Profile in AWS's shared files: it may name the region, and has credentials or says where they come from "
    "([all places](credentials.md)).",
    variables=PROFILES,
)


def region_setting(default: Any) -> Any:
    """Declare the region with a `default`: who sends can't do without."""
    return setting(
        default,
        "AWS region of SES, such as us-east-1; else the profile's.",
        variables=REGIONS,
        option="--region REGION",
    )


def given_profile(given: Mapping[str, Any]) -> str | None:
    """Return the AWS profile among values that go by their fields' names or variables."""
    named = (given[name] for name in ("aws_profile", *PROFILES) if given.get(name))
    return next((name for name in named if isinstance(name, str)), None)


def with_the_profiles_region(given: dict[str, Any]) -> dict[str, Any]:
    """Return the values, and the region of their AWS profile if they have none."""
    if not given.keys().isdisjoint(("aws_region", *REGIONS)):
        return given
    region = profile_region(given_profile(given), os.environ)
    return given if region is None else {**given, "aws_region": region}


class GateSettings(ProducerSettings):
    """Where queues and gates stand; no AWS credentials are needed. Raises pydantic.ValidationError.

    Without a region, the gates are those that workers name, or that there are in Redis.
    """

    readers: ClassVar[str] = "`status`, `breaker`"

    account: AccountName = ACCOUNT
    aws_region: RegionName | None = region_setting(None)
    aws_profile: str | None = PROFILE
    config: str | None = CONFIG

    @model_validator(mode="before")
    @classmethod
    def _take_the_profiles_region(cls, given: Any) -> Any:
        return with_the_profiles_region(given) if isinstance(given, dict) else given


def load_gate_settings(**overrides: Any) -> GateSettings:
    """Return the settings: `overrides` by their names (None is none), else the environment, else the file.

    Of the file, the transport's region is read too, and none of its secrets. Raises SettingsError with a line
    for each problem.
    """
    path = overrides.get("config") or os.environ.get(CONFIG_VARIABLE)
    more = {}
    if path:
        # What is wrong with the rest of it is the worker's business.
        values = read_config(path, os.environ, GateSettings.model_fields).values
        more["aws_region"] = values.get("aws_region")
    return load_settings(GateSettings, overrides, path=overrides.get("config"), whole_file=False, more=more)
