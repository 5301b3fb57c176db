"""What a command needs to find an SES account's gate: Redis, the account's name, and its region."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, AliasChoices, Field

from rq_ses import contract
from rq_ses.config import read_config
from rq_ses.invalid import shown
from rq_ses.settings import CONFIG_VARIABLE, ProducerSettings, load_settings

_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_Settings = TypeVar("_Settings", bound=ProducerSettings)


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


class GateSettings(ProducerSettings):
    """Where an account's gate stands; no AWS credentials are needed. Raises pydantic.ValidationError."""

    account: AccountName = Field(
        contract.DEFAULT_ACCOUNT, description="Name of the SES account, where several share a Redis."
    )
    aws_region: RegionName = Field(
        validation_alias=AliasChoices(*_REGIONS),
        description="AWS region of SES, such as us-east-1.",
    )
    config: str | None = Field(None, description="TOML file with settings.")


class StatusSettings(ProducerSettings):
    """Where queues and gate stand; without a region, the gates are those that workers name."""

    account: AccountName = Field(
        contract.DEFAULT_ACCOUNT, description="Name of the SES account, where several share a Redis."
    )
    aws_region: RegionName | None = Field(
        None,
        validation_alias=AliasChoices(*_REGIONS),
        description="AWS region of SES, such as us-east-1.",
    )
    config: str | None = Field(None, description="TOML file with settings.")


def load_gate_settings(**overrides: Any) -> GateSettings:
    """Return the settings: `overrides` by their names (None is none), else the environment, else the file.

    Of the file, the transport's region is read too, and none of its secrets. Raises SettingsError with a line
    for each problem.
    """
    return _load(GateSettings, overrides)


def load_status_settings(**overrides: Any) -> StatusSettings:
    """Return the settings, as `load_gate_settings` does. Raises SettingsError."""
    return _load(StatusSettings, overrides)


def _load(kind: type[_Settings], overrides: dict[str, Any]) -> _Settings:
    path = overrides.get("config") or os.environ.get(CONFIG_VARIABLE)
    if path and not overrides.get("aws_region") and not any(os.environ.get(name) for name in _REGIONS):
        # What is wrong with the rest of it is the worker's business.
        values = read_config(path, os.environ, GateSettings.model_fields).values
        overrides["aws_region"] = values.get("aws_region")
    return load_settings(kind, overrides, path=overrides.get("config"), whole_file=False)
