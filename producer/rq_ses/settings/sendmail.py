"""The settings of `rq-ses sendmail`: what stands in for an address that has no domain."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from rq_ses.message.address import normalise
from rq_ses.settings.loading import load_settings
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.setting import setting

_Address = Annotated[str, AfterValidator(normalise)]


class SendmailSettings(ProducerSettings):
    """What a mail is given that only its own host understands. Raises pydantic.ValidationError."""

    readers: ClassVar[str] = "`sendmail`"

    sendmail_sender: _Address | None = setting(
        None,
        "Sender of mails without one, and of those by local users such as root: an address, or "
        "`Name <address>` ([more](how-to/sendmail.md)).",
    )
    sendmail_local: _Address | None = setting(
        None,
        "Who gets mails to local users such as root: an address ([more](how-to/sendmail.md)).",
    )


def load_sendmail_settings() -> SendmailSettings:
    """Return the settings: the environment's, else the file's. Raises SettingsError."""
    return load_settings(SendmailSettings, {}, path=None, whole_file=False)
