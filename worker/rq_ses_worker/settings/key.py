"""The AWS access key that signs, where the settings hold it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from rq_ses.settings.base import Settings
from rq_ses.settings.setting import setting
from rq_ses.settings.together import ENVIRONMENT, Together
from rq_ses_worker.settings import values


class KeySettings(Settings):
    """An access key with all that belongs to it, from one place; none is no error."""

    together: ClassVar[tuple[Together, ...]] = (
        Together(
            ("aws_access_key_id", "aws_secret_access_key"), ("aws_session_token", "aws_credential_expiration")
        ),
    )

    aws_access_key_id: Annotated[str | None, AfterValidator(values.key_id)] = setting(
        None,
        "Id of the AWS access key; without one, credentials are looked for as AWS's SDKs do "
        "([where](credentials.md)).",
        variables=("AWS_ACCESS_KEY_ID",),
    )
    # Judged although nobody gives it: there may be an id.
    aws_secret_access_key: Annotated[
        SecretStr | None, AfterValidator(values.secret_key), Field(validate_default=True)
    ] = setting(None, "The key's secret; signs, and is never sent.", variables=("AWS_SECRET_ACCESS_KEY",))
    aws_session_token: Annotated[SecretStr | None, AfterValidator(values.token)] = setting(
        None, "Token of temporary credentials.", variables=("AWS_SESSION_TOKEN",)
    )
    aws_credential_expiration: datetime | None = setting(
        None,
        "When the given key ends (ISO 8601); it isn't used after that.",
        variables=("AWS_CREDENTIAL_EXPIRATION",),
    )

    @field_validator("aws_secret_access_key")
    @classmethod
    def _check_pair(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "aws_access_key_id" in info.data and (info.data["aws_access_key_id"] is None) != (secret is None):
            here, there = ("is not set", "is") if secret is None else ("is set", "is not")
            raise ValueError(f"{here}, but AWS_ACCESS_KEY_ID {there}: set both, or neither")
        return secret

    @field_validator("aws_credential_expiration")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment

    @property
    def unused(self) -> tuple[str, ...]:
        """What was set and isn't used, since the key comes from another place."""
        key, profile = self.origin("aws_access_key_id"), self.origin("aws_profile")
        passed_over = key not in ("", profile) and profile == ENVIRONMENT
        return (*super().unused, *(("the key of AWS_PROFILE",) if passed_over else ()))
