"""An Outbox for event loops: the same calls, to be awaited."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from redis.asyncio import Redis

from rq_ses.aio.loops import Loop, LoopLine
from rq_ses.keys import Keys
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.base import OutboxBase, Waits
from rq_ses.outbox.call import Call, OnConflict, Result
from rq_ses.outbox.plans.sending import checked_messages
from rq_ses.outbox.plans.steps import Line
from rq_ses.outbox.plans.tracking import Mailed
from rq_ses.outbox.submission import OnUnknown, Priority, Seconds, Submission
from rq_ses.receipt import CampaignReceipt, Receipt
from rq_ses.server.location import Location
from rq_ses.tracking import Status

if TYPE_CHECKING:
    from rq_ses.campaign.campaign import Campaign
    from rq_ses.campaign.entry import Entry

Messages = Iterable[AnyMessage | Submission] | AsyncIterable[AnyMessage | Submission]


class AsyncOutbox(OutboxBase[Redis]):
    """Enqueue messages from an event loop, by redis.asyncio and without a thread.

    It takes the arguments of Outbox, and its calls those of Outbox's: they write the same, promise the same
    and raise the same. `connection` is a redis.asyncio.Redis, and left as it is.

    Any number of tasks may share one. What they send in one turn of the loop goes out together, over a few
    connections; each has the answer to its own message, its own time and its own errors. A call that is
    cancelled may have enqueued its message or not, as one whose answer was lost: send it again under the same
    key. It leaves no connection from which somebody else could read its answer.

    It connects when it first sends, in each event loop anew. `async with`, or `aclose`, closes the
    connections; a loop that asyncio.run ends does so, too.
    """

    def _open(self, server: Location, keys: Keys | None, waits: Waits) -> tuple[Line, Redis]:
        line = LoopLine(server, keys, waits)
        return line, line.client()

    async def send(
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
        """Enqueue one message and return its Receipt, as Outbox.send does."""
        call = Call(on_conflict, durable=durable)
        submission = Submission(message, key, at, delay, expires, on_unknown, priority)
        return await Loop().carry_out(self._sending.send(submission, call))

    async def send_many(
        self, messages: Messages, *, durable: bool = False, on_conflict: OnConflict = "raise"
    ) -> list[Receipt]:
        """Enqueue messages in batches and return their Receipts in order, as Outbox.send_many does.

        Between messages other tasks have their turn; one large message is encoded in one.
        """
        call = Call(on_conflict, durable=durable)
        given = checked_messages(messages, "__aiter__")
        return await Loop(given).carry_out(self._sending.send_many(call))

    async def try_send_many(
        self, messages: Messages, *, durable: bool = False, on_conflict: OnConflict = "raise"
    ) -> list[Result]:
        """Enqueue what can be, as Outbox.try_send_many does: an error stands in the place of its Receipt."""
        call = Call(on_conflict, durable=durable, whole=False)
        given = checked_messages(messages, "__aiter__")
        return await Loop(given).carry_out(self._sending.try_send_many(call))

    async def send_bulk(
        self, campaign: Campaign, entries: Iterable[Entry] | AsyncIterable[Entry], *, durable: bool = False
    ) -> CampaignReceipt:
        """Enqueue a campaign's entries and return a CampaignReceipt, as Outbox.send_bulk does."""
        given = checked_messages(entries, "__aiter__")
        return await Loop(given).carry_out(self._bulk.send(campaign, durable=durable))

    async def status(self, job_id: Mailed = None, *, key: str | None = None) -> Status:
        """Return how a mail stands, as Outbox.status does."""
        return await Loop().carry_out(self._tracking.status(job_id, key))

    async def wait(self, job_id: Mailed = None, timeout: float = 30.0, *, key: str | None = None) -> Status:
        """Return how a mail stands once it is sent, failed or canceled, as Outbox.wait does."""
        return await Loop().carry_out(self._tracking.wait(job_id, key, timeout))

    async def cancel(self, job_id: Mailed = None, *, key: str | None = None) -> bool:
        """Take a mail out of its queue, if it waits there, as Outbox.cancel does."""
        return await Loop().carry_out(self._tracking.cancel(job_id, key))

    async def server_time(self) -> float:
        """Return the server's time (epoch seconds), as Outbox.server_time does."""
        return await Loop().carry_out(self._sending.now())

    async def aclose(self) -> None:
        """Close the connections of the running event loop, once what is under way has ended."""
        for line in self._lines:
            await line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.aclose()
