"""The SES account that workers share, and what moves its gate: send rate and breaker."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator

from rq_ses.contract import BULK_ENTRIES
from rq_ses.settings.base import Settings
from rq_ses.settings.gate import ACCOUNT, AccountName
from rq_ses.settings.setting import Count, Real, setting
from rq_ses_worker.account.gate import DEFAULTS
from rq_ses_worker.settings import values


class AccountSettings(Settings):
    """Which account's gate a worker goes by, and the bounds it brings there."""

    account: AccountName = ACCOUNT
    max_send_rate: Annotated[float | Literal["auto"], BeforeValidator(values.send_rate)] = setting(
        "auto",
        "Recipients a second that all workers of the account send together, or `auto`: what SES says.",
        option="--max-send-rate N",
    )
    bulk_size: Count = setting(
        DEFAULTS.bulk_size,
        "Entries of a campaign in one request at most; 10 with `on_unknown=hold`, and "
        "[fewer at low rates](rate.md#bulk-jobs).",
        at_least=1,
        at_most=BULK_ENTRIES,
    )
    breaker_failures: Count = setting(
        DEFAULTS.breaker_failures,
        "Failed attempts in a row, of all workers, that open the breaker.",
        at_least=1,
        at_most=1_000_000,
    )
    breaker_share: Real = setting(
        DEFAULTS.breaker_share,
        "Share of the latest attempts that must have failed, too.",
        at_least=0,
        at_most=1,
    )
    breaker_probe: Real = setting(
        DEFAULTS.first_probe,
        "Seconds from the breaker's opening to the first mail that probes.",
        at_least=0.05,
        at_most=3600,
    )
    breaker_probe_max: Real = setting(
        DEFAULTS.longest_probe,
        "Seconds between two probes at most; from each to the next it is 1.6 times as long.",
        at_least=0.05,
        at_most=3600,
    )

    @model_validator(mode="after")
    def _check_probes(self) -> Self:
        # Without a bound of one's own the first pause is the bound, if it is longer.
        if "breaker_probe_max" in self.model_fields_set and self.breaker_probe_max < self.breaker_probe:
            raise ValueError(
                f"RQ_SES_BREAKER_PROBE_MAX: {self.breaker_probe_max:g} is less than RQ_SES_BREAKER_PROBE "
                f"({self.breaker_probe:g}): give at least that"
            )
        return self
