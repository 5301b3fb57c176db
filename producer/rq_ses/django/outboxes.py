"""One Outbox for a process and each server, queue and time-out: Django makes a backend for every mail."""

from __future__ import annotations

from typing import Any, Final

from django.core.signals import setting_changed

from rq_ses.django.options import SHORT, Options
from rq_ses.outbox.outbox import Outbox
from rq_ses.settings.producer import load_producer_settings

_outboxes: Final[dict[tuple[str | None, str | None, float | None], Outbox]] = {}


def outbox_for(options: Options) -> Outbox:
    """Return the Outbox that serves a backend. Raises SettingsError for settings that can't be used."""
    place = options.redis_url, options.queue, options.enqueue_timeout
    # Without a lock, which a fork could leave locked for ever: threads that come here together may make one
    # each, which is nothing but an object yet, and one of them stays.
    return _outboxes.get(place) or _outboxes.setdefault(place, _made(options))


def _made(options: Options) -> Outbox:
    settings = load_producer_settings(
        redis_url=options.redis_url, queue=options.queue, enqueue_timeout=options.enqueue_timeout
    )
    arguments = settings.model_dump()
    if not settings.origin("enqueue_timeout"):
        arguments["enqueue_timeout"] = SHORT
    return Outbox(**arguments)


def _forget(**_: Any) -> None:
    """Let go of them: a test has changed the settings."""
    _outboxes.clear()


setting_changed.connect(_forget, dispatch_uid="rq_ses.django.outboxes")
