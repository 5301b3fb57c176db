"""The settings of an audit, which needs no AWS credentials."""

from __future__ import annotations

from typing import Any, ClassVar

from rq_ses.contract import OnUnknown
from rq_ses.settings.loading import CONFIG, load_settings
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.setting import Count
from rq_ses_worker.settings.durability import MAX_DOUBTFUL, ON_UNKNOWN


class AuditSettings(ProducerSettings):
    """Where the queues stand, and what becomes of a mail in doubt. Raises pydantic.ValidationError."""

    readers: ClassVar[str] = "`audit`"

    on_unknown: OnUnknown = ON_UNKNOWN
    max_doubtful: Count = MAX_DOUBTFUL
    config: str | None = CONFIG


def load_audit_settings(**overrides: Any) -> AuditSettings:
    """Return the settings, from the same places as a worker's. Raises SettingsError."""
    return load_settings(AuditSettings, overrides, path=overrides.get("config"), whole_file=False)
