"""The suppression list: addresses that no mail is sent to, checked when a mail is claimed.

Documented: `Suppression` and what it takes and returns.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rq_ses.suppression.address import normal_form
from rq_ses.suppression.entry import REASONS, Reason, Suppressed

if TYPE_CHECKING:
    from rq_ses.suppression.suppression import Added, Suppression

__all__ = ["REASONS", "Added", "Reason", "Suppressed", "Suppression", "normal_form"]

if not TYPE_CHECKING:  # to mypy any name would be there

    def __getattr__(name: str) -> Any:
        # Workers, which look addresses up, need none of what makes and moves lists.
        if name not in ("Added", "Suppression"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("rq_ses.suppression.suppression"), name)
