"""What becomes of mails to addresses that are on the suppression list."""

from __future__ import annotations

from rq_ses.contract import OnSuppressed
from rq_ses.settings.base import Settings
from rq_ses.settings.setting import setting
from rq_ses_worker.lifecycle.retry import DEFAULTS


class SuppressionSettings(Settings):
    """Whether the list is asked, and what follows."""

    suppressed: OnSuppressed = setting(
        DEFAULTS.suppressed,
        "What becomes of a mail of which some recipients are on the [suppression list](suppression.md): it "
        "fails, or it goes to the others (`drop`); `off` asks no list.",
    )
