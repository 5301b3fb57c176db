"""What becomes of a mail of which recipients are suppressed: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from rq_ses.contract import SUPPRESSED, OnSuppressed
from rq_ses.message.reading import AnyMessage
from rq_ses.suppression import Suppressed
from rq_ses.suppression.address import folded
from rq_ses_worker.ses.outcome import Terminal

_NAMED: Final = 5
"""Addresses that an error names."""


def allowed(
    message: AnyMessage, suppressed: Mapping[str, Suppressed], how: OnSuppressed
) -> tuple[AnyMessage | Terminal, tuple[str, ...]]:
    """Return the message as it may be sent, and the addresses that it goes to no more; else how it ended.

    Args:
        message: the mail; of one that is MIME the envelope alone counts.
        suppressed: those of its recipients that are on the list, by their normal forms.
        how: what is to become of it.
    """
    if how == "off" or not suppressed:
        return message, ()
    dropped = tuple(one for one in message.recipients if one.lower() in suppressed)
    if how == "fail" or len(dropped) == len(message.recipients):
        return refused(list(suppressed.values())), ()
    fields = ("to", "cc", "bcc") if hasattr(message, "cc") else ("to",)
    left: dict[str, Any] = {
        field: tuple(one for one in getattr(message, field) if folded(one) not in suppressed)
        for field in fields
    }
    return message.model_copy(update=left), dropped


def refusals(addresses: Sequence[str], suppressed: Mapping[str, Suppressed]) -> list[Terminal | None]:
    """Return how each of some mails to one address alone ended; None where it may be sent.

    Entries of a bulk request are such mails: each has an outcome of its own.
    """
    if not suppressed:
        return [None] * len(addresses)
    entries = (suppressed.get(folded(address)) for address in addresses)
    return [refused([entry]) if entry else None for entry in entries]


def refused(suppressed: Sequence[Suppressed]) -> Terminal:
    """Return the outcome of a mail that isn't sent because of these recipients."""
    named = ", ".join(str(one) for one in islice(suppressed, _NAMED))
    more = f" and {len(suppressed) - _NAMED} more" if len(suppressed) > _NAMED else ""
    return Terminal(status=None, code=SUPPRESSED, message=f"on the suppression list: {named}{more}")
