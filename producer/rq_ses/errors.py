"""What can go wrong on the producer's side.

    RqSesError
    ├── SettingsError         one or more settings are missing or wrong; all are named at once
    ├── IdempotencyConflict   the key was used before, for another message
    ├── OutboxUnavailable     Redis could not be reached in time; nothing is known to be enqueued
    └── DurabilityUnconfirmed enqueued, but not known to be on disk or with the replicas (durable=True)

A message that isn't valid raises pydantic.ValidationError where it is built (see rq_ses.message).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rq_ses.outbox import Receipt


class RqSesError(Exception):
    """Base of every error this package raises by itself."""


class SettingsError(RqSesError, ValueError):
    """Raised when settings are missing or wrong; `problems` has one line for each, secrets masked."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class IdempotencyConflict(RqSesError):
    """Raised when `key` was used before for a message that differs from this one."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key = key
        self.job_id = job_id
        super().__init__(
            f"key {key!r} already stands for another message (job {job_id}): "
            "use a key of its own for each message, or send the same message again"
        )


class OutboxUnavailable(RqSesError, ConnectionError):
    """Raised when Redis didn't take the messages in time; `job_ids` may or may not be enqueued.

    Sending again with the same `key` is always safe.
    """

    def __init__(self, job_ids: Sequence[str], waited: float, reason: str) -> None:
        self.job_ids = tuple(job_ids)
        self.waited = waited
        self.reason = reason
        count = "1 message" if len(self.job_ids) == 1 else f"{len(self.job_ids)} messages"
        super().__init__(
            f"Redis did not take {count} within {waited:.1f} s ({reason}): "
            "check RQ_SES_REDIS_URL and the server, then send again, with a key if it must not go out twice"
        )


class DurabilityUnconfirmed(RqSesError):
    """Raised when a durable call could not be confirmed; `receipts` are those of all messages of the call.

    These messages are enqueued and will be sent, unless the server loses what it holds in memory. Without
    receipts nothing was enqueued: the server can't confirm anything, and `reason` says why.
    """

    def __init__(self, receipts: Sequence[Receipt], reason: str) -> None:
        self.receipts = tuple(receipts)
        self.reason = reason
        count = len(self.receipts)
        what = (
            f"{count} messages are enqueued, but"
            if count > 1
            else "the message is enqueued, but"
            if count
            else ""
        )
        super().__init__(f"{what} durability is not confirmed: {reason}".lstrip())
