"""What can go wrong on the producer's side.

    RqSesError
    ├── SettingsError         one or more settings are missing or wrong; all are named at once
    ├── IdempotencyConflict   the key was used before, for another message
    ├── OutboxUnavailable     Redis could not be reached in time, or refuses; what was sent is in doubt
    ├── CampaignConflict      the campaign's name stands for another one, or for one that is over
    ├── SendBulkInterrupted   the iterable given to send_bulk raised
    │   └── UnusableEntry     an entry of it can't be used (a ValueError, too)
    ├── WaitTimedOut          a mail that was waited for is not sent yet
    ├── SendManyInterrupted   the iterable given to send_many raised
    │   └── UnusableMessage   an element of it can't be used (a ValueError, too)
    └── DurabilityUnconfirmed enqueued, but not known to be on disk or with the replicas (durable=True)

Each carries `receipts` (of send_bulk: `campaign`): what the call that raised has enqueued all the same.

A message that isn't valid raises pydantic.ValidationError where it is built (see rq_ses.message.message).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rq_ses.receipt import CampaignReceipt, Receipt
    from rq_ses.tracking import Status

TRACKED: Final = "tell how a mail stands"
"""What a call asks for that is about a mail that is enqueued already."""


class RqSesError(Exception):
    """Base of every error this package raises by itself."""

    receipts: tuple[Receipt, ...] = ()
    """Receipts of what the call that raised has enqueued for certain, in order."""

    results: tuple[Receipt | IdempotencyConflict | ValueError, ...] = ()
    """What try_send_many knew of its first messages when it raised."""

    campaign: CampaignReceipt | None = None
    """What send_bulk had enqueued when it raised."""


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
    """Raised when Redis didn't take the messages in time, or refuses; `job_ids` may or may not be enqueued.

    Sending again with the same `key` is always safe. `remedy` is empty where that is all there is to do.
    """

    def __init__(
        self,
        job_ids: Sequence[str],
        waited: float,
        reason: str,
        remedy: str = "",
        asked: str = "tell its time",
    ) -> None:
        self.job_ids = tuple(job_ids)
        self.waited = waited
        self.reason = reason
        self.remedy = remedy
        count = len(self.job_ids)
        what = "1 message" if count == 1 else f"{count} messages" if count else f"to {asked}"
        if remedy:
            super().__init__(f"Redis refused {what} ({reason}): {remedy}")
            return
        within = f"within {waited:.1f} s" if waited >= 0.05 else "at once"
        failed = f"take {what}" if count else asked
        again = "ask again" if asked == TRACKED else "send again, with a key if it must not go out twice"
        super().__init__(
            f"Redis did not {failed} {within} ({reason}): check RQ_SES_REDIS_URL and the server, "
            f"then {again} (RQ_SES_ENQUEUE_TIMEOUT says how long it is tried)"
        )


class WaitTimedOut(RqSesError, TimeoutError):
    """Raised when a mail that was waited for is not over in time; `status` says how it stands."""

    def __init__(self, status: Status, waited: float) -> None:
        self.status = status
        self.waited = waited
        due = f", due at {status.next_attempt:%Y-%m-%d %H:%M:%S} UTC" if status.next_attempt else ""
        super().__init__(
            f"job {status.job_id} is {status.state} after {waited:.1f} s{due}: wait for longer, "
            "see whether a worker runs (`rq-ses status`), or go on without: it is sent all the same"
        )


class SendManyInterrupted(RqSesError):
    """Raised when what `send_many` was given can't be gone on with; `__cause__` is what its iterable raised.

    `receipts` are those of the messages before that which are enqueued: the first ones, so go on after them.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        count = len(self.receipts)
        enqueued = "nothing is" if not count else "1 message is" if count == 1 else f"{count} messages are"
        return f"{self.reason} ({enqueued} enqueued)"


class UnusableMessage(SendManyInterrupted, ValueError):
    """Raised when an element of what `send_many` was given is no message, or its terms can't be used."""


class CampaignConflict(RqSesError):
    """Raised when a campaign's name can't be used: for another one's terms, or once it is canceled."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"campaign {name}: {reason}")


class SendBulkInterrupted(RqSesError):
    """Raised when what `send_bulk` was given can't be gone on with; `__cause__` is what its iterable raised.

    Call again with all entries: those that are enqueued are known.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UnusableEntry(SendBulkInterrupted, ValueError):
    """Raised when an entry can't be sent; `number` counts from 1, `to` is its address, if it has one."""

    def __init__(self, number: int, to: str, problem: str) -> None:
        self.number = number
        self.to = to
        self.problem = problem
        super().__init__(f"entry {number}{f' ({to})' if to else ''}: {problem}")


class DurabilityUnconfirmed(RqSesError):
    """Raised when a durable call could not be confirmed; `receipts` are those of all messages of the call.

    These messages are enqueued and will be sent, unless the server loses what it holds in memory. Without
    receipts nothing was enqueued: the server can't confirm anything, and `reason` says why.
    """

    def __init__(self, receipts: Sequence[Receipt], reason: str) -> None:
        self.receipts: tuple[Receipt, ...] = tuple(receipts)
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
