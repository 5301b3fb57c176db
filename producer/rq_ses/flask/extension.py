"""The extension: the Outbox of each app, by that app's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypedDict, Unpack

from flask import Flask, Response, current_app, jsonify

from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.call import OnConflict, Result
from rq_ses.outbox.outbox import Outbox
from rq_ses.outbox.plans.retrying import FULL_EVERY
from rq_ses.outbox.submission import OnUnknown, Priority, Seconds, Submission
from rq_ses.receipt import Receipt
from rq_ses.settings.environment import PREFIX, check_environment
from rq_ses.settings.known import PRODUCERS
from rq_ses.settings.loading import CONFIG_VARIABLE
from rq_ses.settings.producer import load_producer_settings

_NAME: Final = "rq_ses"


class Terms(TypedDict, total=False):
    """What `Outbox.send` takes beside the message."""

    key: str | None
    at: datetime | None
    delay: Seconds | None
    expires: datetime | Seconds | None
    on_unknown: OnUnknown | None
    priority: Priority
    durable: bool
    on_conflict: OnConflict


class CallTerms(TypedDict, total=False):
    """What `Outbox.send_many` takes beside the messages."""

    durable: bool
    on_conflict: OnConflict


class RqSes:
    """The Outbox of each app that it was given, by the app's configuration.

    An app's settings are those keys of `app.config` that are named as the variables are (RQ_SES_REDIS_URL,
    RQ_SES_QUEUE, …, and RQ_SES_CONFIG), else the environment's, else the file's. They are read when the app
    is given, so that a wrong one stops its start, and again where the configuration has changed since, as
    tests change it. Threads may share it, and it outlives a fork. In a view, a command or anything else
    that has an app context it knows which app is meant.

    Args:
        app: as given to `init_app`; or none yet.

    Raises:
        SettingsError: with a line for each setting that is wrong, or no setting at all.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Let the app send. Raises SettingsError as the class does."""
        _check(app.config)
        app.extensions[_NAME] = _OfApp()

    @property
    def outbox(self) -> Outbox:
        """The current app's Outbox. Raises RuntimeError outside an app, and in one that wasn't given."""
        of_app = current_app.extensions.get(_NAME)
        if of_app is None:
            raise RuntimeError(f"the app {current_app.name!r} has no RqSes: call init_app(app) at its start")
        found: Outbox = of_app.outbox(current_app.config)
        return found

    def send(self, message: AnyMessage, **terms: Unpack[Terms]) -> Receipt:
        """Enqueue one message and return its Receipt, as `Outbox.send` does."""
        return self.outbox.send(message, **terms)

    def send_many(
        self, messages: Iterable[AnyMessage | Submission], **terms: Unpack[CallTerms]
    ) -> list[Receipt]:
        """Enqueue messages in batches and return their Receipts, as `Outbox.send_many` does."""
        return self.outbox.send_many(messages, **terms)

    def try_send_many(
        self, messages: Iterable[AnyMessage | Submission], **terms: Unpack[CallTerms]
    ) -> list[Result]:
        """Enqueue what can be, as `Outbox.try_send_many` does."""
        return self.outbox.try_send_many(messages, **terms)


def unavailable(_: Exception) -> Response:
    """Answer 503 with Retry-After, for an app that wants it wherever it can't enqueue.

    app.register_error_handler(OutboxUnavailable, unavailable)
    """
    answer = jsonify(detail="mail can't be taken right now: try again")
    answer.status_code = 503
    answer.headers["Retry-After"] = f"{FULL_EVERY:.0f}"
    return answer


class _OfApp:
    """One app's Outbox, made when it is first asked for, and anew when the configuration has changed."""

    def __init__(self) -> None:
        self._made: tuple[dict[str, Any], Outbox] | None = None

    def outbox(self, config: Mapping[str, Any]) -> Outbox:
        given, made = _given(config), self._made
        if made is None or made[0] != given:
            # Threads that come here together may make one each; either sends, and one of them stays.
            made = self._made = given, Outbox.from_env(**given)
        return made[1]


def _check(config: Mapping[str, Any]) -> None:
    # As in the environment, names of a worker's settings may stand there, and nobody's may not.
    check_environment({name: "given" for name, value in config.items() if value not in (None, "")})
    load_producer_settings(**_given(config))


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's settings by their names; what is empty is unset, as in the environment."""
    variables = (*PRODUCERS, CONFIG_VARIABLE)
    return {
        name.removeprefix(PREFIX).lower(): config[name]
        for name in variables
        if config.get(name) not in (None, "")
    }
