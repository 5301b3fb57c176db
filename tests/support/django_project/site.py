"""A site whose errors and broken links are mailed, as docs/how-to/django.md sets it up."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.middleware.common import BrokenLinkEmailsMiddleware
from django.test import Client, override_settings
from django.utils.log import AdminEmailHandler

from support.django_project.project import BACKEND, MAILERS


class BrokenLinks(BrokenLinkEmailsMiddleware):  # type: ignore[misc]
    """Django's middleware, with the mailer that may fail."""

    using = "errors"


@contextmanager
def site(redis_url: str) -> Iterator[Client]:
    """Serve the pages of urls.py until the block is left."""
    more: dict[str, Any] = {"MANAGERS": settings.ADMINS, "DEBUG": False}
    if MAILERS:
        options = {"redis_url": redis_url}
        silent = {**options, "fail_silently": True, "enqueue_timeout": 1}
        more["MAILERS"] = {
            "default": {"BACKEND": BACKEND, "OPTIONS": options},
            "errors": {"BACKEND": BACKEND, "OPTIONS": silent},
        }
        more["MIDDLEWARE"] = [f"{__name__}.BrokenLinks"]
        handler = AdminEmailHandler(using="errors")
    else:
        more |= {"EMAIL_BACKEND": BACKEND, "RQ_SES": {"redis_url": redis_url}}
        more["MIDDLEWARE"] = ["django.middleware.common.BrokenLinkEmailsMiddleware"]
        handler = AdminEmailHandler()
    handler.setLevel(logging.ERROR)
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        with override_settings(**more):
            yield Client(raise_request_exception=False)
    finally:
        logger.removeHandler(handler)
