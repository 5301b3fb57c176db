"""Enqueueing in an event loop: AsyncOutbox, an Outbox whose calls are awaited."""

from rq_ses.aio.outbox import AsyncOutbox

__all__ = ["AsyncOutbox"]
