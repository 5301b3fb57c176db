"""How the account's events are told: to whom, in which form, signed how, how often and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self
from urllib.parse import urlsplit

from rq_ses_worker.simulator.settings import (
    EVENTS_FORM,
    EVENTS_RAW,
    EVENTS_REPEAT,
    EVENTS_SHUFFLE,
    EVENTS_SIGNATURE,
    EVENTS_SUBSCRIBED,
    EventForm,
    EventSignature,
)

App = Callable[..., Any]
"""A WSGI or an ASGI application."""

Target = str | App
"""A URL, or an app in this process."""

MOST_TARGETS: Final = 10

_URL_LIMIT: Final = 2_000
_CERTIFICATE: Final = re.compile(r"SimpleNotificationService-[0-9A-Fa-f]{1,64}\.pem")
_CHECKS: Final = {
    "form": EVENTS_FORM,
    "signature": EVENTS_SIGNATURE,
    "repeat": EVENTS_REPEAT,
    "shuffle": EVENTS_SHUFFLE,
    "raw": EVENTS_RAW,
    "subscribed": EVENTS_SUBSCRIBED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How events are told; without targets they aren't.

    Raises ValueError when a value makes no sense.

    Attributes:
        targets: who is told.
        form: "event" as a configuration set publishes them, "notification" as an identity is told, or "both".
        signature: version "1" or "2".
        repeat: how often each message comes again, with the same id.
        shuffle: whether they come in disorder.
        raw: whether they come without SNS's envelope, so unsigned.
        subscribed: whether the targets have confirmed already, so that nothing asks them to.
    """

    targets: tuple[Target, ...] = ()
    form: EventForm = EVENTS_FORM.default
    signature: EventSignature = EVENTS_SIGNATURE.default
    repeat: int = EVENTS_REPEAT.default
    shuffle: bool = EVENTS_SHUFFLE.default
    raw: bool = EVENTS_RAW.default
    subscribed: bool = EVENTS_SUBSCRIBED.default

    def __post_init__(self) -> None:
        for name, setting in _CHECKS.items():
            value = getattr(self, name)
            if setting.kind is not str and type(value) is not setting.kind:
                raise ValueError(f"events_{name}: {value!r} is no {setting.kind.__name__}")
            setting.check(value)
        if len(self.targets) > MOST_TARGETS:
            raise ValueError(f"events: {len(self.targets)} targets are too many: give {MOST_TARGETS} at most")
        for target in self.targets:
            if isinstance(target, str):
                check_url(target)
            elif not callable(target):
                raise TypeError(f"events: {target!r} is neither a URL nor a WSGI or ASGI app")

    def changed(self, members: dict[str, Any]) -> Self:
        """Return it with other values. Raises ValueError."""
        unknown = sorted(members.keys() - {one.name for one in fields(self)})
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(one.name for one in fields(self))}")
        if "targets" in members:
            members = {**members, "targets": listed(members["targets"])}
        return replace(self, **members)


def listed(targets: Any) -> tuple[Target, ...]:
    """Return targets without repetitions. Raises ValueError when it is no list of them."""
    if not isinstance(targets, Sequence) or isinstance(targets, str | bytes):
        raise ValueError("targets: give a list of URLs")  # noqa: TRY004 - told like every wrong value
    return tuple(dict.fromkeys(targets))


def check_url(text: str) -> None:
    """Raise ValueError when it is no URL to which something can be posted."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if parts.username is not None or parts.password is not None:
        raise ValueError("events: the URL has a user or a password, which the page would show: leave it out")
    if (
        not usable
        or len(text) > _URL_LIMIT
        or not text.isascii()
        or any(c <= " " or c == "\x7f" for c in text)
    ):
        raise ValueError(
            f"events: {text[:200]!r} is no URL to post to: give one such as http://127.0.0.1:8000/ses/events"
        )


def check_certificate(path: str) -> None:
    """Raise ValueError when a file can't have the certificate: its name is that in the certificate's URL."""
    name = re.split(r"[/\\]", path)[-1]
    if not _CERTIFICATE.fullmatch(name):
        raise ValueError(
            f"events_certificate: {path[:200]!r}: name the file as SNS does, "
            "such as SimpleNotificationService-0a.pem"
        )
