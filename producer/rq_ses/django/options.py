"""The options of the backend: OPTIONS of an alias in MAILERS, or else the setting RQ_SES."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from rq_ses.contract import PRIORITIES, Priority
from rq_ses.text.invalid import shown

SETTING: Final = "RQ_SES"
"""The Django setting that has the options where there are no MAILERS."""

SHORT: Final = 1.0
"""Seconds that a call has by default while Redis is away: a page has to be answered within two."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a backend was given.

    Attributes:
        redis_url: of the server; None: what RQ_SES_REDIS_URL or the file says, as for each None below.
        queue: RQ queue of the mails.
        priority: of mails that don't say their own.
        durable: return only when the server's disk has the mails.
        enqueue_timeout: seconds for which it is tried again while Redis is away.
        expires: seconds (or a timedelta) after which mails are failed rather than sent.
        on_commit: enqueue when the transaction is committed, if there is one.
        using: the database whose transaction it is.
        fail_silently: log that Redis is away, and raise nothing.
    """

    redis_url: str | None = None
    queue: str | None = None
    priority: Priority = "normal"
    durable: bool = False
    enqueue_timeout: float | None = None
    expires: float | timedelta | None = None
    on_commit: bool = True
    using: str = "default"
    fail_silently: bool = False

    def __post_init__(self) -> None:
        for name in ("durable", "on_commit", "fail_silently"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(  # noqa: TRY004 - the value is what is wrong in the settings
                    f"{name}: {shown(getattr(self, name))} can't be used: give True or False"
                )
        if self.priority not in PRIORITIES:
            known = ", ".join(PRIORITIES)
            raise ValueError(f"priority: {shown(self.priority)} can't be used: give one of {known}")
        expires = self.expires
        seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
        if seconds is not None and (not _is_number(seconds) or seconds <= 0):
            raise ValueError(f"expires: {shown(expires)} can't be used: give seconds or a timedelta above 0")
        timeout = self.enqueue_timeout
        if timeout is not None and (not _is_number(timeout) or timeout <= 0):
            raise ValueError(f"enqueue_timeout: {shown(timeout)} can't be used: give seconds above 0")

    def short(self) -> Options:
        """Return those of a call that mustn't keep a page waiting."""
        given = self.enqueue_timeout
        return replace(self, enqueue_timeout=SHORT if given is None else min(given, SHORT))


NAMES: Final = frozenset(field.name for field in fields(Options))


def read_options(given: Mapping[str, Any], alias: str | None) -> Options:
    """Return the options of an alias, or, without one, those given on top of what the setting says.

    Raises ImproperlyConfigured, which names the place, the option and the remedy.
    """
    try:
        if alias is not None:
            return Options(**given)
        options = Options(
            **{**_setting(), **{name: value for name, value in given.items() if value is not None}}
        )
        # Django's handler of errors and its middleware ask for it in the middle of a request.
        return options.short() if given.get("fail_silently") else options
    except ValueError as exc:
        place = SETTING if alias is None else f"MAILERS[{alias!r}]"
        raise ImproperlyConfigured(f"{place}: {exc}") from exc


def _setting() -> dict[str, Any]:
    setting = getattr(settings, SETTING, None) or {}
    if not isinstance(setting, Mapping):
        raise ValueError(f"{shown(setting)} can't be used: give a dict of options")  # noqa: TRY004
    if unknown := sorted(str(name) for name in setting if name not in NAMES):
        raise ValueError(f"{shown(unknown[0])} is no option: give some of {', '.join(sorted(NAMES))}")
    return dict(setting)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
