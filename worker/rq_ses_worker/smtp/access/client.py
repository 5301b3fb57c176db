"""Who is at the other end of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiosmtpd.smtp import Session

from rq_ses_worker.smtp.access.users import User


@dataclass(frozen=True, slots=True)
class Client:
    """A program that sends: its address, as whom it has logged in, and whether others can read along."""

    address: str
    user: User | None
    encrypted: bool

    @classmethod
    def of(cls, session: Session) -> Client:
        """Return who a session is with."""
        peer: Any = session.peer
        user = session.auth_data if isinstance(session.auth_data, User) else None
        return cls(str(peer[0]), user, session.ssl is not None)

    @property
    def name(self) -> str:
        """By what its rate is counted, and what the log calls it."""
        return self.user.name if self.user else self.address

    def protocol(self, *, extended: bool) -> str:
        """Return the name of the protocol that was spoken, as a Received header has it (RFC 3848)."""
        return f"ESMTP{'S' * self.encrypted}{'A' * (self.user is not None)}" if extended else "SMTP"
