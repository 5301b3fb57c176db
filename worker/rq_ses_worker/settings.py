"""The worker's settings: the producer's, AWS's and its own, from options, the environment and a TOML file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationInfo, field_validator

from rq_ses.contract import YEARS
from rq_ses.settings import Number, ProducerSettings, load_settings
from rq_ses_worker.credentials import Credentials
from rq_ses_worker.endpoint import endpoint_url
from rq_ses_worker.retry import RetryPolicy
from rq_ses_worker.ses import SesClient
from rq_ses_worker.transport import Proxy, tls_context

_ANY_REGION = "us-east-1"


def _region(region: str) -> str:
    endpoint_url(region)
    return region


def _key_id(value: str) -> str:
    Credentials(value, "unused")
    return value


def _secret_key(value: SecretStr) -> SecretStr:
    Credentials("unused", value.get_secret_value())
    return value


def _token(value: SecretStr) -> SecretStr:
    Credentials("unused", "unused", value.get_secret_value())
    return value


def _proxy(url: str) -> str:
    Proxy(url)
    return url


def _ca_bundle(path: str) -> str:
    tls_context(path)
    return path


class WorkerSettings(ProducerSettings):
    """What a worker needs to send; seconds throughout.

    Built directly, it reads the environment alone: `load_worker_settings` reads the TOML file, too, and puts
    problems into words. Raises pydantic.ValidationError.
    """

    aws_region: Annotated[str, AfterValidator(_region)] = Field(
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        description="AWS region of SES, such as us-east-1.",
    )
    aws_access_key_id: Annotated[str, AfterValidator(_key_id)] = Field(
        validation_alias="AWS_ACCESS_KEY_ID", description="Id of the AWS access key."
    )
    aws_secret_access_key: Annotated[SecretStr, AfterValidator(_secret_key)] = Field(
        validation_alias="AWS_SECRET_ACCESS_KEY", description="The key's secret; signs, and is never sent."
    )
    aws_session_token: Annotated[SecretStr, AfterValidator(_token)] | None = Field(
        None, validation_alias="AWS_SESSION_TOKEN", description="Token of temporary credentials."
    )
    allow_http: bool = Field(False, description="Allow a base_url without TLS whose host isn't this machine.")
    base_url: str | None = Field(None, description="URL in place of SES's own; for tests and gateways.")
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(
        None, repr=False, description="HTTP proxy to SES: http:// or https://, a password allowed."
    )
    ca_bundle: Annotated[str, AfterValidator(_ca_bundle)] | None = Field(
        None, description="PEM file or directory of the CA certificates to trust in place of the usual ones."
    )
    timeout: Annotated[float, Number] = Field(
        5.0, gt=0, le=300, allow_inf_nan=False, description="Seconds for one whole exchange with SES."
    )
    concurrency: Annotated[int, Number] = Field(
        16, ge=1, le=1000, description="Mails that are sent at the same time, each by a thread."
    )
    rate_limited_delay: Annotated[float, Number] = Field(
        5.0, gt=0, le=86_400, allow_inf_nan=False, description="Seconds until the next attempt after a 429."
    )
    transient_delay: Annotated[float, Number] = Field(
        1.0, gt=0, le=86_400, allow_inf_nan=False, description="Seconds until the next attempt after a 5xx."
    )
    backoff: Annotated[float, Number] = Field(
        1.0,
        ge=1,
        le=100,
        allow_inf_nan=False,
        description="Factor by which delays grow; 1 keeps them constant.",
    )
    max_delay: Annotated[float, Number] = Field(
        300.0, gt=0, le=YEARS, allow_inf_nan=False, description="Seconds that a growing delay is at most."
    )
    max_attempts: Annotated[int, Number] = Field(
        10, ge=1, le=1_000_000, description="Attempts of a mail that may end transiently."
    )
    give_up_after: Annotated[float, Number] = Field(
        86_400.0,
        gt=0,
        le=YEARS,
        allow_inf_nan=False,
        description="Seconds after which no mail is tried again.",
    )
    lease: Annotated[float, Number] = Field(
        30.0,
        ge=1,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds until the mails of a dead worker move to others; living ones renew it.",
    )
    on_unknown: Literal["resend", "hold"] = Field(
        "resend",
        description="What becomes of a mail that SES may have accepted: sent again, or held as failed.",
    )
    preflight: Literal["refuse", "warn", "off"] = Field(
        "refuse",
        description="Whether a Redis that would lose mails is refused, or warned of, at a worker's start.",
    )
    config: str | None = Field(None, description="TOML file with settings.")

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            endpoint_url(_ANY_REGION, url, allow_http=info.data.get("allow_http", False))
        return url

    def credentials(self) -> Credentials:
        """Return the AWS identity that signs."""
        token = self.aws_session_token
        return Credentials(
            self.aws_access_key_id,
            self.aws_secret_access_key.get_secret_value(),
            token.get_secret_value() if token else None,
        )

    def client(self) -> SesClient:
        """Return a client with a connection for each thread; nothing is connected yet."""
        return SesClient(
            self.credentials(),
            self.aws_region,
            self.base_url,
            self.timeout,
            proxy=self.proxy,
            ca_bundle=self.ca_bundle,
            allow_http=self.allow_http,
            pool_size=self.concurrency,
        )

    def policy(self) -> RetryPolicy:
        """Return when a mail is tried again."""
        return RetryPolicy(
            rate_limited_delay=self.rate_limited_delay,
            transient_delay=self.transient_delay,
            backoff=self.backoff,
            max_delay=self.max_delay,
            max_attempts=self.max_attempts,
            give_up_after=self.give_up_after,
            on_unknown=self.on_unknown,
        )


def load_worker_settings(**overrides: Any) -> WorkerSettings:
    """Return the settings: `overrides` by their names (None is none), else the environment, else the file.

    The file is `config`, or what RQ_SES_CONFIG names. Raises SettingsError with a line for each problem.
    """
    return load_settings(WorkerSettings, overrides, path=overrides.get("config"), whole_file=True)
