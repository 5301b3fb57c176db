"""The worker's settings: the producer's, AWS's and its own, from options, the environment and a TOML file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rq_ses import contract
from rq_ses.contract import YEARS
from rq_ses.server.redisurl import max_connections
from rq_ses.settings.gate import PROFILES, REGIONS, AccountName, given_profile, with_the_profiles_region
from rq_ses.settings.producer import Number, ProducerSettings, load_settings
from rq_ses.settings.together import ENVIRONMENT, Together
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.identity.endpoints import GLOBAL, configured_endpoint, variable
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.wire.deadline import MIN_UPLOAD_RATE, SLOWEST_UPLOAD, Timeout
from rq_ses_worker.settings import values

if TYPE_CHECKING:
    from rq_ses_worker.identity.source import CredentialSource
    from rq_ses_worker.ses.client import SesClient
    from rq_ses_worker.ses.endpoint import Endpoint
    from rq_ses_worker.ses.wire.route import Route

# What needs more than the producer has is imported where it is used: a producer that meets a setting of the
# worker's, or a misspelling, asks this module for the names (rq_ses.settings.declared).

REDIS_CONNECTIONS = 8
"""What a worker's threads may need at the same time, and a little more."""

_ANY_REGION = "us-east-1"
_SERVICE = "sesv2"
_ENDPOINTS = (variable(_SERVICE), GLOBAL)


def _switches(info: ValidationInfo) -> dict[str, Any]:
    return {name: info.data.get(name, False) for name in ("allow_http", "use_fips", "use_dualstack")}


class WorkerSettings(ProducerSettings):
    """What a worker needs to send; seconds throughout.

    Built directly, it reads the environment alone: `load_worker_settings` reads the TOML file, too, and puts
    problems into words. Raises pydantic.ValidationError.
    """

    groups: ClassVar[tuple[Together, ...]] = (
        Together(
            ("aws_access_key_id", "aws_secret_access_key"), ("aws_session_token", "aws_credential_expiration")
        ),
    )

    allow_http: bool = Field(False, description="Allow a base_url without TLS whose host isn't this machine.")
    use_fips: bool = Field(
        False,
        validation_alias=AliasChoices("RQ_SES_USE_FIPS", "AWS_USE_FIPS_ENDPOINT"),
        description="Use the FIPS endpoints of SES and STS, in regions where SES has one.",
    )
    use_dualstack: bool = Field(
        False,
        validation_alias=AliasChoices("RQ_SES_USE_DUALSTACK", "AWS_USE_DUALSTACK_ENDPOINT"),
        description="Use the endpoints of SES and STS that have IPv6 addresses, too.",
    )
    base_url: str | None = Field(None, description="URL in place of SES's own; for tests and gateways.")
    aws_endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices(*_ENDPOINTS),
        description="The same as AWS's tools have it; counts where there is no base_url. Else the profile's.",
    )
    aws_region: str = Field(
        validation_alias=AliasChoices(*REGIONS),
        description="AWS region of SES, such as us-east-1; else the profile's.",
    )
    aws_profile: str | None = Field(
        None,
        validation_alias=AliasChoices(*PROFILES),
        description="Profile in AWS's shared files that has credentials or says where they come from.",
    )
    aws_access_key_id: Annotated[str | None, AfterValidator(values.key_id)] = Field(
        None,
        validation_alias="AWS_ACCESS_KEY_ID",
        description="Id of the AWS access key; without one, credentials are looked for as AWS's SDKs do.",
    )
    aws_secret_access_key: Annotated[SecretStr | None, AfterValidator(values.secret_key)] = Field(
        None,
        validation_alias="AWS_SECRET_ACCESS_KEY",
        validate_default=True,
        description="The key's secret; signs, and is never sent.",
    )
    aws_session_token: Annotated[SecretStr | None, AfterValidator(values.token)] = Field(
        None, validation_alias="AWS_SESSION_TOKEN", description="Token of temporary credentials."
    )
    aws_credential_expiration: datetime | None = Field(
        None,
        validation_alias="AWS_CREDENTIAL_EXPIRATION",
        description="When the given key ends (ISO 8601); it isn't used after that.",
    )
    proxy: Annotated[str, AfterValidator(values.proxy)] | None = Field(
        None, repr=False, description="HTTP proxy to SES: http:// or https://, a password allowed."
    )
    ca_bundle: Annotated[str, AfterValidator(values.ca_bundle)] | None = Field(
        None, description="PEM file or directory of the CA certificates to trust in place of the usual ones."
    )
    timeout: Annotated[float, Number] = Field(
        5.0, gt=0, le=300, allow_inf_nan=False, description="Seconds for one whole exchange with SES."
    )
    min_upload_rate: Annotated[int, Number] = Field(
        MIN_UPLOAD_RATE,
        ge=SLOWEST_UPLOAD,
        le=1_000_000_000,
        description="Bytes a second: a mail of more than 64 KiB has so much more time as that takes.",
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
    max_doubtful: Annotated[int, Number] = Field(
        3,
        ge=1,
        le=1_000_000,
        description="Deliveries of a mail in all that SES may have accepted; then it is held as failed.",
    )
    preflight: Literal["refuse", "warn", "off"] = Field(
        "refuse",
        description="Whether a Redis that would lose mails is refused, or warned of, at a worker's start.",
    )
    account: AccountName = Field(
        contract.DEFAULT_ACCOUNT,
        description="Name of the SES account, where several share a Redis: its gate goes by it.",
    )
    max_send_rate: Annotated[float | Literal["auto"], BeforeValidator(values.send_rate)] = Field(
        "auto", description="Recipients a second that all workers of the account send; auto: what SES says."
    )
    breaker_failures: Annotated[int, Number] = Field(
        8, ge=1, le=1_000_000, description="Failed attempts in a row, of all workers, that open the breaker."
    )
    breaker_share: Annotated[float, Number] = Field(
        0.5,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of the latest attempts that must have failed, too.",
    )
    breaker_probe: Annotated[float, Number] = Field(
        5.0,
        ge=0.05,
        le=3600,
        allow_inf_nan=False,
        description="Seconds from the breaker's opening to the first mail that probes.",
    )
    breaker_probe_max: Annotated[float, Number] = Field(
        60.0,
        ge=0.05,
        le=3600,
        allow_inf_nan=False,
        description="Seconds between two probes at most; from each to the next it is 1.6 times as long.",
    )
    metrics: Annotated[str, AfterValidator(values.metrics)] | None = Field(
        None,
        description="Where a worker serves /metrics, /healthz and /readyz: HOST:PORT, or a port of loopback.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(values.lower)] = Field(
        "info", description="What is logged on stderr: this and what is graver."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Form of the log: lines for people, or objects of JSON."
    )
    log_addresses: Literal["full", "masked", "none"] = Field(
        "masked", description="How the log shows e-mail addresses: in full, as a…@example.com, or not at all."
    )
    log_sent: bool = Field(False, description="Log each mail that was sent, with SES's message id.")
    config: str | None = Field(None, description="TOML file with settings.")

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

    @field_validator("redis_url")
    @classmethod
    def _check_connections(cls, url: str) -> str:
        most = max_connections(url)
        if most is not None and most < REDIS_CONNECTIONS:
            raise ValueError(
                f"its option max_connections {most} is less than a worker needs: "
                f"give at least {REDIS_CONNECTIONS}, or remove it"
            )
        return url

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

    @model_validator(mode="after")
    def _check_probes(self) -> WorkerSettings:
        # Without a bound of one's own the first pause is the bound, if it is longer.
        if "breaker_probe_max" in self.model_fields_set and self.breaker_probe_max < self.breaker_probe:
            raise ValueError(
                f"RQ_SES_BREAKER_PROBE_MAX: {self.breaker_probe_max:g} is less than RQ_SES_BREAKER_PROBE "
                f"({self.breaker_probe:g}): give at least that"
            )
        return self

    @property
    def unused(self) -> tuple[str, ...]:
        """What was set and isn't used, since the key comes from another place."""
        key, profile = self.origin("aws_access_key_id"), self.origin("aws_profile")
        passed_over = key not in ("", profile) and profile == ENVIRONMENT
        return (*super().unused, *(("the key of AWS_PROFILE",) if passed_over else ()))

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

    def credentials(self) -> CredentialSource:
        """Return where the AWS identity that signs comes from; nothing is asked yet.

        It is the key of the settings, else what is found as AWS's SDKs find it, from the environment on.
        """
        from rq_ses_worker.identity.chain import Chain
        from rq_ses_worker.identity.source import CredentialSource
        from rq_ses_worker.identity.sts import sts_of

        if self.aws_access_key_id is not None and self.aws_secret_access_key is not None:
            token = self.aws_session_token
            credentials = Credentials(
                self.aws_access_key_id,
                self.aws_secret_access_key.get_secret_value(),
                token.get_secret_value() if token else None,
            )
            place = self.origin("aws_access_key_id") or "settings"
            return CredentialSource.of(credentials, place, self.aws_credential_expiration)
        environment = dict(os.environ)
        sts = partial(
            sts_of,
            self._ses(),
            configured_endpoint("sts", self.aws_profile, environment),
            self._route(),
            self.timeout,
        )
        return CredentialSource(Chain(environment, self.aws_profile, sts, self.ca_bundle).find)

    def client(self, credentials: CredentialSource | None = None) -> SesClient:
        """Return a client with a connection for each thread; nothing is connected yet."""
        from rq_ses_worker.ses.client import SesClient

        return SesClient(
            credentials or self.credentials(),
            self._ses(),
            self._route(),
            Timeout(self.timeout, self.min_upload_rate),
            # One more than threads that send: another asks for the account's limits.
            pool_size=self.concurrency + 1,
        )

    def _ses(self) -> Endpoint:
        from rq_ses_worker.ses.endpoint import Endpoint

        return Endpoint(self.aws_region, self.endpoint, self.allow_http, self.use_fips, self.use_dualstack)

    def _route(self) -> Route:
        from rq_ses_worker.ses.wire.route import Route

        return Route(self.proxy, self.ca_bundle)

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
            max_doubtful=self.max_doubtful,
        )

    def gate(self) -> GatePolicy:
        """Return which account's gate the worker goes by."""
        return GatePolicy(
            account=self.account,
            region=self.aws_region,
            max_send_rate=None if self.max_send_rate == "auto" else self.max_send_rate,
            breaker_failures=self.breaker_failures,
            breaker_share=self.breaker_share,
            first_probe=self.breaker_probe,
            longest_probe=max(self.breaker_probe, self.breaker_probe_max),
        )


def load_worker_settings(**overrides: Any) -> WorkerSettings:
    """Return the settings: `overrides` by their names (None is none), else the environment, else the file.

    The file is `config`, or what RQ_SES_CONFIG names. Raises SettingsError with a line for each problem.
    """
    return load_settings(WorkerSettings, overrides, path=overrides.get("config"), whole_file=True)
