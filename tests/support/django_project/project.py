"""Settings of Django for a run of tests, and the backend under each of the settings that name one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import django
from django.conf import settings

SENDER: Final = "Shop <hello@shop.example>"
SERVER: Final = "server@shop.example"

MAILERS: Final = django.VERSION >= (6, 1)
WAYS: Final = ("EMAIL_BACKEND", "MAILERS") if MAILERS else ("EMAIL_BACKEND",)
"""The settings that name a backend in this version of Django."""

BACKEND: Final = "rq_ses.django.EmailBackend"


def configure() -> None:
    """Configure Django, once in a process: a database in memory, and no mailer yet."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="of the tests",
        INSTALLED_APPS=["rq_ses.django"],
        DATABASES={
            name: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
            for name in ("default", "other")
        },
        DEFAULT_FROM_EMAIL=SENDER,
        SERVER_EMAIL=SERVER,
        ADMINS=["ops@shop.example"] if django.VERSION >= (6, 0) else [("ops", "ops@shop.example")],
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="support.django_project.urls",
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    django.setup()


@contextmanager
def sending(way: str = WAYS[-1], backend: str = BACKEND, **options: Any) -> Iterator[None]:
    """Let Django's mails go through the backend until the block is left."""
    from django.test import override_settings

    if way == "MAILERS":
        with override_settings(MAILERS={"default": {"BACKEND": backend, "OPTIONS": options}}):
            yield
        return
    with warnings.catch_warnings():
        if MAILERS:
            # Django's own word about this way: its users know it.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
        with override_settings(EMAIL_BACKEND=backend, RQ_SES=options):
            yield
