"""The worker's settings: the producer's, AWS's and its own, from options, the environment and a TOML file.

A producer that meets a setting of the worker's, or a misspelling, asks this module for the names
(rq_ses.settings.declared). So what needs more than a producer has is imported where it is used, here and in
the groups.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pydantic import field_validator

from rq_ses.contract import HELD_ENTRIES
from rq_ses.server.redisurl import max_connections
from rq_ses.settings.loading import CONFIG, load_settings
from rq_ses.settings.producer import ProducerSettings
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.settings.account import AccountSettings
from rq_ses_worker.settings.durability import DurabilitySettings
from rq_ses_worker.settings.hooks import HooksSettings
from rq_ses_worker.settings.messages import MessageSettings
from rq_ses_worker.settings.observability import ObservabilitySettings
from rq_ses_worker.settings.retrying import RetrySettings
from rq_ses_worker.settings.ses import SesSettings

REDIS_CONNECTIONS: Final = 8
"""What a worker's threads may need at the same time, and a little more."""


class WorkerSettings(
    # Pydantic lists the fields, and what is wrong with them, from the last of these to the first.
    MessageSettings,
    ObservabilitySettings,
    HooksSettings,
    AccountSettings,
    DurabilitySettings,
    RetrySettings,
    SesSettings,
    ProducerSettings,
):
    """What a worker needs to send; seconds throughout.

    Built directly, it reads the environment alone: `load_worker_settings` reads the TOML file, too, and puts
    problems into words. Raises pydantic.ValidationError.
    """

    readers: ClassVar[str] = "`worker`, `doctor`"

    config: str | None = CONFIG

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
            suppressed=self.suppressed,
        )

    def gate(self) -> GatePolicy:
        """Return which account's gate the worker goes by."""
        return GatePolicy(
            account=self.account,
            region=self.aws_region,
            max_send_rate=None if self.max_send_rate == "auto" else self.max_send_rate,
            bulk_size=min(self.bulk_size, HELD_ENTRIES) if self.on_unknown == "hold" else self.bulk_size,
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
