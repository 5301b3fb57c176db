"""Durable e-mail for Python web apps: enqueue a message here, a worker sends it through Amazon SES."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rq_ses import rqversion  # noqa: F401 - before anything imports RQ
from rq_ses.errors import (
    DurabilityUnconfirmed,
    IdempotencyConflict,
    OutboxUnavailable,
    RqSesError,
    SettingsError,
)

if TYPE_CHECKING:
    from rq_ses.message.message import Attachment, Message, explain
    from rq_ses.message.raw import RawMessage
    from rq_ses.outbox.outbox import Outbox
    from rq_ses.outbox.submission import Submission
    from rq_ses.receipt import Receipt
    from rq_ses.settings.producer import ProducerSettings

__all__ = [
    "Attachment",
    "DurabilityUnconfirmed",
    "IdempotencyConflict",
    "Message",
    "Outbox",
    "OutboxUnavailable",
    "ProducerSettings",
    "RawMessage",
    "Receipt",
    "RqSesError",
    "SettingsError",
    "Submission",
    "explain",
]

# What takes pydantic and redis-py is imported when its name is first asked for (PEP 562): a command that
# needs neither, and an app's process that sends no mail, shouldn't pay for them.
_LATER = {
    "Attachment": "rq_ses.message.message",
    "Message": "rq_ses.message.message",
    "Outbox": "rq_ses.outbox.outbox",
    "ProducerSettings": "rq_ses.settings.producer",
    "RawMessage": "rq_ses.message.raw",
    "Receipt": "rq_ses.receipt",
    "Submission": "rq_ses.outbox.submission",
    "explain": "rq_ses.message.message",
}


if not TYPE_CHECKING:  # to mypy any name would be there

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_LATER[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
