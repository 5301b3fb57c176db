"""The producer's side: put messages into the queue, once each, or say that it could not be done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from redis import Redis

from rq_ses.keys import Keys
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.base import OutboxBase, Waits
from rq_ses.outbox.call import Call, OnConflict, Result
from rq_ses.outbox.plans.sending import checked_messages
from rq_ses.outbox.plans.steps import Line
from rq_ses.outbox.plans.tracking import Mailed
from rq_ses.outbox.submission import OnUnknown, Priority, Seconds, Submission
from rq_ses.outbox.threads import ThreadLine, Threads
from rq_ses.receipt import CampaignReceipt, Receipt
from rq_ses.server.location import Location
from rq_ses.tracking import Status

if TYPE_CHECKING:
    from rq_ses.campaign.campaign import Campaign
    from rq_ses.campaign.entry import Entry


class Outbox(OutboxBase[Redis]):
    """Enqueue messages for the workers of one queue, or rather of its priorities' three (docs/redis.md).

    A message is durable once the call has returned, as far as the server's appendfsync promises. Threads may
    share an Outbox; a process that was forked makes connections of its own.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        queue: name of the RQ queue of normal mails; QUEUE-high and QUEUE-bulk hold those of other priority.
        partitions: prefixes of the queue's partitions; none by default (docs/how-to/partitions.md).
        connection: a redis-py client (redis.Redis) in place of `redis_url`. It is left as it is: the Outbox
            makes a pool of its own to the same server, without the client's retries and time-outs.
        result_ttl: seconds for which the receipt of a sent mail is kept (-1: for ever); at least a minute
            more than `enqueue_timeout`, so that a call whose answer was lost finds what it has done.
        failure_ttl: seconds for which a failed mail is kept (-1: for ever).
        enqueue_timeout: seconds for which a call tries again while Redis is away. After a call that ended so,
            one every 5 s has as long, the others a quarter of a second, until Redis is back.
        durable_replicas: replicas that must hold what a durable call has written; 0 waits for the disk alone.
        durable_timeout: seconds a durable call waits for either, beyond `enqueue_timeout`.

    Raises:
        ValueError: an argument can't be used.
        TypeError: `connection` is no client of one server.
    """

    def _open(self, server: Location, keys: Keys | None, waits: Waits) -> tuple[Line, Redis]:
        line = ThreadLine(server, keys, waits)
        return line, line.client

    @property
    def connections(self) -> tuple[Redis, ...]:
        """The clients that enqueue, one for each partition."""
        return tuple(line.client for line in self._lines)

    @property
    def connection(self) -> Redis:
        """The client that enqueues; that of the first partition."""
        return self.connections[0]

    def send(
        self,
        message: AnyMessage,
        *,
        key: str | None = None,
        at: datetime | None = None,
        delay: Seconds | None = None,
        expires: datetime | Seconds | None = None,
        on_unknown: OnUnknown | None = None,
        priority: Priority = "normal",
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> Receipt:
        """Enqueue one message and return its Receipt.

        Args:
            message: what to send.
            key: idempotency key; the same key and message give the first Receipt again with
                `duplicate=True`: while the mail waits, while it is failed, at least 24 h after it was sent.
                The first call's terms stand, whatever the other arguments say later.
            at: aware datetime before which it is not sent; all times go by the server's clock.
            delay: seconds (or a timedelta) for which it is not sent.
            expires: aware datetime, or seconds from now, after which it is failed rather than sent.
            on_unknown: "resend" or "hold", when SES may have accepted it; else as the worker is set.
            priority: "high" is claimed before "normal", that before "bulk"; see docs/rate.md.
            durable: return only when the server's disk, and `durable_replicas`, have it (docs/redis.md).
            on_conflict: if `key` stands for another message: "raise", or "keep" that one and return its
                Receipt with `conflict=True`; this message is not sent then.

        Raises:
            IdempotencyConflict: `key` stands for another message.
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`, or refuses, which says why.
            DurabilityUnconfirmed: with `durable`: enqueued but not confirmed, or (no receipts) not enqueued.
            ValueError: an argument is unusable; nothing was enqueued.
        """
        call = Call(on_conflict, durable=durable)
        submission = Submission(message, key, at, delay, expires, on_unknown, priority)
        return Threads().carry_out(self._sending.send(submission, call))

    def send_many(
        self,
        messages: Iterable[AnyMessage | Submission],
        *,
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> list[Receipt]:
        """Enqueue messages in batches, each (with partitions: its part for each) one atomic step.

        Return their Receipts in order. Each error has those of the batches before it in `receipts`: these
        messages are enqueued. Behind them stand those of the last batch that other partitions took.

        Raises:
            IdempotencyConflict: a key stands for another message; of its batch, its partition takes nothing.
            OutboxUnavailable: Redis didn't answer in time; `job_ids` are those in doubt.
            DurabilityUnconfirmed: with `durable`: all are enqueued, but a batch was not confirmed in time.
            SendManyInterrupted: `messages` itself raised (`__cause__`); of its batch nothing is enqueued.
            UnusableMessage: an element is no message, or its terms can't be used; likewise, and a ValueError.
        """
        call = Call(on_conflict, durable=durable)
        return Threads(checked_messages(messages)).carry_out(self._sending.send_many(call))

    def try_send_many(
        self,
        messages: Iterable[AnyMessage | Submission],
        *,
        durable: bool = False,
        on_conflict: OnConflict = "raise",
    ) -> list[Result]:
        """Enqueue what can be, and let the error of what can't stand in the place of its Receipt.

        Each error it raises has in `results` what stands for the first messages, as far as that is certain,
        and their Receipts in `receipts`.

        Raises:
            OutboxUnavailable: as `send_many` does.
            DurabilityUnconfirmed: as `send_many` does.
            SendManyInterrupted: `messages` itself raised (`__cause__`).
        """
        call = Call(on_conflict, durable=durable, whole=False)
        return Threads(checked_messages(messages)).carry_out(self._sending.try_send_many(call))

    def send_bulk(
        self, campaign: Campaign, entries: Iterable[Entry], *, durable: bool = False
    ) -> CampaignReceipt:
        """Enqueue a campaign's entries, fifty a job, and return a CampaignReceipt; entries may be millions.

        What was enqueued under the campaign's name before is not enqueued again: so after any error, and
        after a crash, call it again with all entries. Each error has in `campaign` what is enqueued.

        Args:
            campaign: what all its mails have in common; with its first entry that can't be changed any more.
            entries: any iterable (rq_ses.campaign.Entry); of a generator a few thousand are held at a time.
            durable: as for `send`; every step waits.

        Raises:
            CampaignConflict: the name stands for another campaign, or for one that was canceled.
            UnusableEntry: an entry is none, or its data don't fill the template; and a ValueError.
            SendBulkInterrupted: `entries` itself raised (`__cause__`).
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`, or refuses, which says why.
            DurabilityUnconfirmed: with `durable`: all are enqueued, but not confirmed; or (no entries) none.
            ValueError: the campaign has expired; nothing was enqueued.
        """
        given = checked_messages(entries)
        return Threads(given).carry_out(self._bulk.send(campaign, durable=durable))

    def status(self, job_id: Mailed = None, *, key: str | None = None) -> Status:
        """Return how a mail stands, and what SES has told of it since; looking changes nothing.

        Args:
            job_id: of its job, or the Receipt that send returned.
            key: the idempotency key it was sent under, in place of that.

        Raises:
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`, or refuses.
            ValueError: it is named by both, or by neither.
        """
        return Threads().carry_out(self._tracking.status(job_id, key))

    def wait(self, job_id: Mailed = None, timeout: float = 30.0, *, key: str | None = None) -> Status:
        """Return how a mail stands as soon as it is sent, failed or canceled; at once if nobody knows of it.

        It looks every 20 ms at first, and once a second in the end; the first look is at once.

        Args:
            job_id: as `status` has it.
            timeout: seconds.
            key: as `status` has it.

        Raises:
            WaitTimedOut: it isn't over after `timeout` seconds (a TimeoutError, too).
            OutboxUnavailable: Redis refuses, or was away at the end.
            ValueError: it is named by both, or by neither.
        """
        return Threads().carry_out(self._tracking.wait(job_id, key, timeout))

    def cancel(self, job_id: Mailed = None, *, key: str | None = None) -> bool:
        """Take a mail out of its queue, if it waits there; return whether it did.

        If so, nobody will send it, its key is free at once, and it can be looked at for a day. False: it is
        being sent, or is over, or nobody knows of it; `status` says which.

        Args:
            job_id: as `status` has it.
            key: as `status` has it.

        Raises:
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`, or refuses.
            ValueError: it is named by both, or by neither.
        """
        return Threads().carry_out(self._tracking.cancel(job_id, key))

    def server_time(self) -> float:
        """Return the server's time (epoch seconds), by which terms are reckoned; asked once a minute at most.

        Raises:
            OutboxUnavailable: Redis didn't answer within `enqueue_timeout`.
        """
        return Threads().carry_out(self._sending.now())
