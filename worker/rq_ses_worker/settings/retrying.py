"""Whether a mail is sent, when it is tried again, and when no more."""

from __future__ import annotations

from rq_ses.contract import YEARS, OnSuppressed
from rq_ses.settings.base import Settings
from rq_ses.settings.setting import Count, Real, setting
from rq_ses_worker.lifecycle.retry import DEFAULTS


class RetrySettings(Settings):
    """Who is sent nothing; the delays between a mail's attempts, and their bounds."""

    suppressed: OnSuppressed = setting(
        DEFAULTS.suppressed,
        "What becomes of a mail of which some recipients are on the [suppression list](suppression.md): it "
        "fails, or it goes to the others (`drop`); `off` asks no list.",
    )
    rate_limited_delay: Real = setting(
        DEFAULTS.rate_limited_delay,
        "Seconds from the end of an attempt to the next after a 429.",
        above=0,
        at_most=86_400,
        option="--rate-limited-delay S",
    )
    transient_delay: Real = setting(
        DEFAULTS.transient_delay,
        "Seconds from the end of an attempt to the next after a 5xx.",
        above=0,
        at_most=86_400,
        option="--transient-delay S",
    )
    backoff: Real = setting(
        DEFAULTS.backoff,
        "Factor by which delays grow with each attempt; 1 keeps them constant.",
        at_least=1,
        at_most=100,
        option="--backoff X",
    )
    max_delay: Real = setting(
        DEFAULTS.max_delay,
        "Seconds that a growing delay is at most.",
        above=0,
        at_most=YEARS,
        option="--max-delay S",
    )
    max_attempts: Count = setting(
        DEFAULTS.max_attempts,
        "Attempts of a mail that may end transiently.",
        at_least=1,
        at_most=1_000_000,
        option="--max-attempts N",
    )
    give_up_after: Real = setting(
        DEFAULTS.give_up_after,
        "Seconds after its first attempt from which no mail is tried again.",
        above=0,
        at_most=YEARS,
        option="--give-up-after S",
    )
