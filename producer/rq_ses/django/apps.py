"""The app for INSTALLED_APPS: it has no models, and brings the checks of settings."""

from __future__ import annotations

from django.apps import AppConfig


class RqSesConfig(AppConfig):  # type: ignore[misc] # Django comes without types
    """rq-ses in a Django project."""

    name = "rq_ses.django"
    label = "rq_ses"
    verbose_name = "rq-ses"

    def ready(self) -> None:
        """Register the checks."""
        from rq_ses.django import checks

        checks.register_all()
