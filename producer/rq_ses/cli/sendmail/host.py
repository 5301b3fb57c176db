"""What an address means that has no domain others know: `root` is somebody on one host alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email import utils

from rq_ses.message.address import bare, encoded
from rq_ses.text.invalid import shown

Named = tuple[str, str]
"""A name, "" for none, and an address."""

Become = Callable[[str, str], Named | None]
"""What a name and an address are to become, None for nothing."""


class NoSender(ValueError):
    """Raised where nothing says by whom a mail is."""


class NoUser(ValueError):
    """Raised where a mail is for a local user, and nobody gets the mails of those."""


@dataclass(frozen=True, slots=True)
class Host:
    """What stands in for addresses that have no full domain.

    Attributes:
        sender: for those who send: an address, or `Name <address>`; "" if there is none.
        local: for those who receive, likewise.
        name: of who sends a mail without a From header.
    """

    sender: str = ""
    local: str = ""
    name: str = ""

    def recipient(self, name: str, address: str) -> Named:
        """Return name and address of who gets a mail to an address. Raises NoUser."""
        if is_full(address):
            return name, address
        if not self.local:
            raise NoUser(
                f"{shown(address)} is a user of this host alone: "
                "RQ_SES_SENDMAIL_LOCAL can say who gets such mails"
            )
        return name or address, bare(self.local)

    def shown_recipient(self, name: str, address: str) -> Named | None:
        """Return name and address that a header shows, None where it would show nothing others understand."""
        return self.recipient(name, address) if self.local else if_full(name, address)

    def author(self, name: str, address: str) -> Named:
        """Return name and address of who sends a mail from an address, "" for none. Raises NoSender."""
        if is_full(address):
            return name, address
        if not self.sender:
            whose = f"by {shown(address)}, a user of this host alone" if address else "by nobody"
            raise NoSender(
                f"the mail is {whose}: set RQ_SES_SENDMAIL_SENDER, give an address with -f, "
                "or write a From header"
            )
        own, instead = utils.parseaddr(encoded(self.sender))
        return name or own or address, instead


def is_full(address: str) -> bool:
    """Tell whether others than its own host understand an address."""
    return "." in address.rpartition("@")[2] and "@" in address


def if_full(name: str, address: str) -> Named | None:
    """Return a name and an address that others understand, None for what they don't."""
    return (name, address) if is_full(address) else None
