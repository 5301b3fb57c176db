"""Whom a worker tells of outcomes, as its settings and the packages around it say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rq_ses_worker.server.connection import connect
from rq_ses_worker.settings.worker import WorkerSettings

if TYPE_CHECKING:
    from rq_ses_worker.hooks.telling import Telling


def telling_of(settings: WorkerSettings) -> Telling | None:
    """Return what tells outcomes, None if nobody wants to know; nothing is connected yet."""
    kept = settings.outcomes_kept
    if not kept:
        return None
    # Here, for most workers have none.
    from rq_ses_worker.hooks.callables import Callables, offered
    from rq_ses_worker.hooks.telling import Hook, Telling
    from rq_ses_worker.hooks.webhook import PARCEL, Webhook
    from rq_ses_worker.ses.wire.route import Route

    hooks = []
    if settings.webhook_url:
        route = Route(settings.proxy, settings.ca_bundle)
        webhook = Webhook(settings.webhook_url, settings.webhook_key(), settings.webhook_timeout, route)
        hooks.append(Hook("webhook", webhook, PARCEL))
    # One that raises must not be in the way of another.
    hooks += [Hook(f"python:{entry.name}", Callables(entry), 1) for entry in offered()]
    return Telling(partial(connect, settings.redis_url), hooks, kept)
