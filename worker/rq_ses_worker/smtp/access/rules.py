"""Who may send what, as the settings and the file of users say at one moment: pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from rq_ses_worker.settings.smtp import Network, SmtpSettings
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.access.users import User, Users
from rq_ses_worker.smtp.content import Content
from rq_ses_worker.smtp.replies import Refusal


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts until the files are read anew.

    Attributes:
        users: who may log in; None if nobody.
        networks: whose clients needn't.
        senders: addresses and domains that mails may be from, in small letters; none stands for all.
        max_recipients: of a mail.
    """

    users: Users | None
    networks: tuple[Network, ...]
    senders: frozenset[str]
    max_recipients: int

    @classmethod
    def of(cls, settings: SmtpSettings, users: Users | None) -> Rules:
        """Return what the settings say."""
        return cls(users, settings.networks, settings.senders, settings.smtp_max_recipients)

    def login(self, client: str, *, encrypted: bool) -> Refusal | None:
        """Return why this client can't log in now; None if it can.

        No password crosses a network unencrypted.
        """
        if not self.users:
            return replies.NO_LOGIN
        return None if encrypted or is_loopback(client) else replies.TLS_NEEDED

    def still(self, user: User | None) -> User | None:
        """Return a user that has logged in as the file has it now; None if it isn't there any more."""
        return self.users.still(user) if user and self.users else None

    def client(self, client: str, user: User | None) -> Refusal | None:
        """Return why this client may send nothing; None if it may."""
        if user or any(_address(client) in network for network in self.networks):
            return None
        return replies.LOGIN_NEEDED if self.users else replies.NO_RELAY

    def sender(self, address: str, user: User | None) -> Refusal | None:
        """Return why no mail may be from this envelope's sender; None if one may."""
        return None if self._allows(address.lower(), user) else replies.SENDER_NOT_ALLOWED

    def content(self, content: Content, user: User | None) -> Refusal | None:
        """Return why this content may not be sent; None if it may."""
        if content.commands and not (user and user.headers):
            return replies.header_not_allowed(content.commands[0])
        if self._senders(user) and (content.authors or content.is_from is not None):
            # What SES, and a reader, goes by. A From header that holds no address can't be judged.
            known = content.authors and all(self._allows(one, user) for one in content.authors)
            return None if known else replies.FROM_NOT_ALLOWED
        return None

    def _senders(self, user: User | None) -> Collection[str]:
        return (user.senders if user else None) or self.senders

    def _allows(self, address: str, user: User | None) -> bool:
        senders = self._senders(user)
        return not senders or address in senders or address.rpartition("@")[2] in senders


def is_loopback(client: str) -> bool:
    """Tell whether a client is a program of this machine."""
    return _address(client).is_loopback


@lru_cache(maxsize=1024)
def _address(client: str) -> IPv4Address | IPv6Address:
    address = ip_address(client.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
