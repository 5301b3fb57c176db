"""The worker of one process, put together as its settings say."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import contract
from rq_ses.contract import PRIORITIES, Priority
from rq_ses.keys import Keys, keys_of
from rq_ses.status.unserved import Unserved, strays, unserved
from rq_ses_worker.engine.preflight.server import preflight
from rq_ses_worker.engine.process.hooks import telling_of
from rq_ses_worker.engine.worker import Capacity, MailWorker, Sending
from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.logging import events
from rq_ses_worker.server.connection import connect
from rq_ses_worker.ses import client  # noqa: F401 - loaded before a process is forked, and shared
from rq_ses_worker.settings.worker import WorkerSettings

if TYPE_CHECKING:
    from rq_ses.tracing.spans import Tracing
    from rq_ses_worker.monitoring.tally import Tally

log = logging.getLogger(__name__)


def build_worker(
    settings: WorkerSettings,
    *,
    name: str | None = None,
    priorities: Sequence[Priority] = PRIORITIES,
    credentials: CredentialSource | None = None,
    tally: Tally | None = None,
    gate: Keys | None = None,
) -> MailWorker:
    """Return the worker that `settings` describe; nothing is connected yet.

    In a partition the account's gate stands under other keys than its mails: `gate`.
    """
    queues = contract.queue_names(settings.queue, priorities)
    gate_at = connect(settings.redis_url, gate) if gate else None
    return MailWorker(
        queues,
        connect(settings.redis_url),
        Sending(
            settings.client(credentials),
            settings.policy(),
            settings.gate(),
            gate_at,
            settings.message_index,
            telling_of(settings),
            _tracing_of(settings),
        ),
        Capacity(settings.concurrency, settings.lease),
        name=name,
        check=partial(_first_look, gate_at, settings, queues=queues, told=set()),
        tally=tally,
    )


def _tracing_of(settings: WorkerSettings) -> Tracing | None:
    if not settings.tracing:
        return None
    from rq_ses.tracing.spans import Tracing

    tracing = Tracing()
    if not tracing.is_seen:
        events.TRACING_UNSEEN.log(log)
    return tracing


def _first_look(
    gate_at: Redis | None,
    settings: WorkerSettings,
    connection: Redis,
    *,
    queues: Sequence[str],
    told: set[tuple[str, str | None]],
) -> None:
    """Look at Redis before the first mail: whether it keeps them, and whether some wait for nobody."""
    known = preflight(connection, mode=settings.preflight)
    if gate_at:
        # It may be another server, and what the user may do may depend on the prefix.
        preflight(gate_at, mode=settings.preflight, known=known)
    with contextlib.suppress(ResponseError):
        found: list[Unserved] = [*unserved(connection, besides=queues)]
        # What is there once is told by one process.
        if gate_at and keys_of(connection).prefix == settings.partitions.partition(",")[0]:
            found += strays(gate_at)
        for one in found:
            # It may take many tries to start.
            if (one.queue, one.partition) in told:
                continue
            told.add((one.queue, one.partition))
            events.QUEUE_UNSERVED.log(
                log, finding=str(one), remedy=one.remedy, queue=one.queue, mails=one.mails
            )
