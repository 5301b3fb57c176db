"""What keeps a mail from being lost, and from going out twice."""

from __future__ import annotations

from typing import Final, Literal

from rq_ses.contract import OnUnknown
from rq_ses.settings.base import Settings
from rq_ses.settings.setting import Count, Real, setting
from rq_ses_worker.lifecycle.retry import DEFAULTS

ON_UNKNOWN: Final = setting(
    DEFAULTS.on_unknown,
    "What becomes of a mail that SES may have accepted: sent again, or held as failed.",
    option="--on-unknown",
)
MAX_DOUBTFUL: Final = setting(
    DEFAULTS.max_doubtful,
    "Deliveries of a mail in all that SES may have accepted; then it is held as failed.",
    at_least=1,
    at_most=1_000_000,
    option="--max-doubtful N",
)
PREFLIGHT: Final = setting(
    "refuse",
    "Whether a Redis that would lose mails is refused, or warned of, at the start "
    "([checks](redis.md#start-up-checks)).",
    option="--preflight",
)
Preflight = Literal["refuse", "warn", "off"]


class DurabilitySettings(Settings):
    """What is done about workers that die, answers that don't come, and a Redis that would lose mails."""

    lease: Real = setting(
        30.0,
        "Seconds until the mails of a dead worker move to others; living ones renew it.",
        at_least=1,
        at_most=86_400,
        option="--lease S",
    )
    on_unknown: OnUnknown = ON_UNKNOWN
    max_doubtful: Count = MAX_DOUBTFUL
    preflight: Preflight = PREFLIGHT
