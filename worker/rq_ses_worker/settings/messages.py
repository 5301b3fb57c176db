"""What a worker keeps of the MessageIds that SES gives."""

from __future__ import annotations

from rq_ses.settings.base import Settings
from rq_ses.settings.setting import setting


class MessageSettings(Settings):
    """By what an event is led to its mail."""

    message_index: bool = setting(
        False,
        "Keep which mail each MessageId of SES's is for two weeks: for events without tags, which are "
        "those of an identity's own notifications ([more](receipts.md#events-without-tags)).",
    )
