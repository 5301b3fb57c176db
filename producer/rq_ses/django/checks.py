"""Checks of a project's settings, run by `manage.py check` and before most of its commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from rq_ses.django.options import NAMES, Options
from rq_ses.errors import SettingsError
from rq_ses.text.invalid import shown

_TAG: Final = "mail"
"""Django's own since 6.1."""


def register_all() -> None:
    """Register the checks with Django."""
    for check in (check_senders, check_options, check_error_mails):
        register(_TAG)(check)


def check_senders(**_: Any) -> list[CheckMessage]:
    """Look for senders by default that SES takes from nobody."""
    from rq_ses.message import address

    found = []
    for number, name in enumerate(("DEFAULT_FROM_EMAIL", "SERVER_EMAIL"), 1):
        try:
            address.normalise(str(getattr(settings, name)))
        except ValueError as exc:
            found.append(
                Warning(
                    f"{name}: {exc}.",
                    hint=f"Set {name} to an address of an identity that is verified in SES.",
                    id=f"rq_ses.W00{number}",
                )
            )
    return found if any(_ours()) else []


def check_options(**_: Any) -> list[CheckMessage]:
    """Look for options that can't be used, and for MAILERS that Django doesn't read."""
    found: list[CheckMessage] = []
    for place, kind, options in _ours():
        try:
            from rq_ses.django.outboxes import outbox_for

            used = kind(**options)._options
            outbox_for(used)
            found += _of_options(place, used)
        except (ImproperlyConfigured, SettingsError) as exc:
            hint = f"The options of {place} may be {', '.join(sorted(NAMES))}."
            found.append(Error(str(exc), hint=hint, id="rq_ses.E001"))
    if django.VERSION < (6, 1) and any(_is_ours(one) for one in _mailers().values()):
        found.append(
            Error(
                f"Django {django.get_version()} doesn't read MAILERS: mails go where EMAIL_BACKEND says.",
                hint='Set EMAIL_BACKEND = "rq_ses.django.EmailBackend", and its options in RQ_SES.',
                id="rq_ses.E002",
            )
        )
    return found


def _of_options(place: str, options: Options) -> Iterator[CheckMessage]:
    if options.using not in connections:
        yield Error(
            f"{place}: using: {shown(options.using)} is no database of DATABASES.",
            hint="Name one whose commits mails wait for, or leave it out.",
            id="rq_ses.E003",
        )
    url = urlsplit(options.redis_url or "")
    if url.password or "password=" in url.query:
        yield Warning(
            f"{place}: redis_url has a password, which Django writes into error mails and debug pages.",
            hint="Set RQ_SES_REDIS_URL in the environment, or in the file that RQ_SES_CONFIG names, instead.",
            id="rq_ses.W004",
        )


def check_error_mails(**_: Any) -> list[CheckMessage]:
    """Look for an alias by which error mails can fail without taking the page along."""
    aliases = [options for _, _, options in _ours() if "alias" in options]
    if not aliases or not (settings.ADMINS or settings.MANAGERS):
        return []
    if any(options.get("fail_silently") for options in aliases) or len(aliases) < len(_mailers()):
        return []
    return [
        Warning(
            "While Redis is away, error mails raise: error pages and pages not found aren't answered.",
            hint=(
                'Add an alias with "fail_silently": True to MAILERS, and name it in LOGGING as "using" of '
                "AdminEmailHandler, and as `using` of BrokenLinkEmailsMiddleware."
            ),
            id="rq_ses.W003",
        )
    ]


def _ours() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield each use of the backend: where it is set, its class, and what Django hands to that."""
    if django.VERSION >= (6, 1) and hasattr(settings, "MAILERS"):
        for alias, config in _mailers().items():
            if kind := _is_ours(config):
                yield f"MAILERS[{alias!r}]", kind, {"alias": alias, **config.get("OPTIONS", {})}
    elif kind := _is_ours({"BACKEND": settings.EMAIL_BACKEND}):
        yield "RQ_SES", kind, {}


def _mailers() -> dict[str, dict[str, Any]]:
    mailers: dict[str, dict[str, Any]] = getattr(settings, "MAILERS", {})
    return mailers


def _is_ours(config: dict[str, Any]) -> Any:
    """Return the class of the backend if it is ours, or made of ours; else None."""
    from rq_ses.django.backend import EmailBackend

    try:
        kind = import_string(config.get("BACKEND", ""))
    except ImportError:
        return None
    return kind if isinstance(kind, type) and issubclass(kind, EmailBackend) else None
