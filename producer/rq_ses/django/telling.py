"""Tells a project's receivers of outcomes: from all partitions of its queue, until told to end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final

from django.db import close_old_connections
from redis.exceptions import RedisError

from rq_ses.django.signals import outcome as signal
from rq_ses.outcomes.delivery import Delivery, Trouble
from rq_ses.outcomes.outcome import Outcome
from rq_ses.outcomes.stream import OutcomeStream
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.server.refusal import read_refusal
from rq_ses.settings.producer import ProducerSettings

GROUP: Final = "django"

_TIMEOUT: Final = 5.0
_AGAIN: Final = 5.0
"""Seconds until Redis is asked again after it was away."""

_DRAIN: Final = 30.0
"""Seconds for which a command that ends tells what is left."""

_logger: Final = logging.getLogger("rq_ses.django")


def tell(settings: ProducerSettings, closing: threading.Event, *, once: bool = False) -> None:
    """Send the signal for each outcome, until `closing` is set; `once`: until there are no more.

    Raises:
        RedisError: with `once`: Redis is away, or refuses.
    """
    place = Location(settings.redis_url, None)
    with Partitions.at(
        place, settings.partitions, socket_timeout=_TIMEOUT, connect_timeout=_TIMEOUT
    ) as partitions:
        deliveries = [
            Delivery(OutcomeStream(client, GROUP), _send, parcel=1, told=_log) for client in partitions
        ]
        pause = 0.0
        while not closing.wait(pause):
            pause = min(_stepped(delivery, once=once) for delivery in deliveries)
            if once and pause > 0:
                break
        for delivery in deliveries:
            delivery.drain(_DRAIN if once else 0.0)


def _stepped(delivery: Delivery, *, once: bool) -> float:
    try:
        return delivery.step()
    except RedisError as exc:
        if once:
            raise
        _logger.warning("Redis: %s; outcomes wait", read_refusal(exc).reason)
        return _AGAIN


def _send(outcomes: Sequence[Outcome]) -> None:
    close_old_connections()
    try:
        for one in outcomes:
            signal.send(sender=Outcome, outcome=one)
    finally:
        close_old_connections()


def _log(trouble: Trouble) -> None:
    if trouble.kind == "refused":
        _logger.error("a receiver of rq_ses.django.signals.outcome raised; it is told again", exc_info=True)
    elif trouble.outcome:
        outcome = trouble.outcome
        _logger.error("given up: %s of job %s, outcome %s", outcome.kind, outcome.job_id, outcome.id)
    elif trouble.kind == "given up":
        _logger.error("what stands in the stream of outcomes is none; it is left out")
