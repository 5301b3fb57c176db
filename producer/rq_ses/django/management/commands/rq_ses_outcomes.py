"""`manage.py rq_ses_outcomes`: send the signal for what becomes of mails."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError

from rq_ses.django.options import read_options
from rq_ses.django.telling import tell
from rq_ses.errors import SettingsError
from rq_ses.server.refusal import read_refusal
from rq_ses.settings.producer import load_producer_settings


class Command(BaseCommand):  # type: ignore[misc] # Django comes without types
    """Tells receivers of rq_ses.django.signals.outcome, until SIGTERM or SIGINT."""

    help = (
        "Send the signal rq_ses.django.signals.outcome for each outcome that workers write down "
        "(RQ_SES_OUTCOMES=1), until SIGTERM or SIGINT."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--redis-url", help="Redis server [that of the setting RQ_SES, or RQ_SES_REDIS_URL]."
        )
        parser.add_argument("--once", action="store_true", help="Tell what there is, and end.")

    def handle(self, *, redis_url: str | None, once: bool, **_: Any) -> None:
        """Tell receivers. Raises CommandError for settings that can't be used, and if Redis is away."""
        closing = threading.Event()
        former: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                former[number] = signal.signal(number, lambda *_: closing.set())
        try:
            settings = load_producer_settings(redis_url=redis_url or read_options({}, None).redis_url)
            tell(settings, closing, once=once)
        except SettingsError as exc:
            raise CommandError(str(exc)) from exc
        except RedisError as exc:
            raise CommandError(f"Redis: {read_refusal(exc).reason}") from exc
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)
