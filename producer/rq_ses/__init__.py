"""Durable e-mail for Python web apps: enqueue a message here, a worker sends it through Amazon SES."""

from rq_ses import rqversion  # noqa: F401 - before anything imports RQ
from rq_ses.errors import (
    DurabilityUnconfirmed,
    IdempotencyConflict,
    OutboxUnavailable,
    RqSesError,
    SettingsError,
)
from rq_ses.message.message import Attachment, Message, explain
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
    "Receipt",
    "RqSesError",
    "SettingsError",
    "Submission",
    "explain",
]
