"""Django's mail through the queue: `EMAIL_BACKEND = "rq_ses.django.EmailBackend"`, and nothing else changes.

In INSTALLED_APPS, `rq_ses.django` also checks the settings. Needs the extra `django`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rq_ses.django.backend import EmailBackend
    from rq_ses.django.locmem import LocmemBackend

__all__ = ["EmailBackend", "LocmemBackend"]

# Django imports this for INSTALLED_APPS in every process, whether it sends mail or not.
_LATER = {"EmailBackend": "rq_ses.django.backend", "LocmemBackend": "rq_ses.django.locmem"}

if not TYPE_CHECKING:  # to mypy any name would be there

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_LATER[name]), name)
        return found
