"""The normal form of an address: one text for all spellings that reach the same mailbox."""

from __future__ import annotations

from typing import Final

from rq_ses.message.address import bare, normalise

SIMULATOR: Final = "@simulator.amazonses.com"
"""What addresses of SES's mailbox simulator end in: SES puts none of them on a list."""


def normal_form(text: str) -> str:
    """Return `local@domain` in small letters, its domain in punycode; a display name is left out.

    The local part is folded, too: that "Ann@" and "ann@" are two people's is allowed (RFC 5321, 2.4), and
    hardly ever so.

    Raises ValueError, with the value and the remedy, if it is not one address that a mail can have.
    """
    return folded(normalise(text))


def folded(address: str) -> str:
    """Return the normal form of an address as a message has it, which is checked already."""
    return bare(address).lower()


def is_simulated(address: str) -> bool:
    """Tell whether an address in its normal form is one of SES's mailbox simulator."""
    return address.endswith(SIMULATOR)
