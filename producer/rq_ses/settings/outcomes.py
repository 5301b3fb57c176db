"""Whether outcomes are told: what every process that writes them must agree on."""

from __future__ import annotations

from typing import Final

from rq_ses.settings.base import Settings
from rq_ses.settings.setting import Count, setting

MOST: Final = 1_000_000


class OutcomeSettings(Settings):
    """Whether what becomes of mails is written down for hooks, and where a webhook is told."""

    outcomes: bool = setting(
        False,
        "Write down how mails end, for [hooks](how-to/hooks.md); `RQ_SES_WEBHOOK_URL` switches it on, too.",
    )
    outcomes_max: Count = setting(
        MOST,
        "Outcomes that are kept for hooks at most, about; beyond it the oldest are dropped.",
        at_least=1000,
        at_most=100_000_000,
    )
    webhook_url: str | None = setting(
        None,
        "Where outcomes are posted to ([form and signature](how-to/hooks.md#a-webhook)): `https://…`.",
        shown=False,
    )

    @property
    def outcomes_kept(self) -> int:
        """How many outcomes are kept for hooks at most; 0: none is written."""
        return self.outcomes_max if self.outcomes or self.webhook_url else 0
