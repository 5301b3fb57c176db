"""What the ingress answers where it doesn't take something: each reply with the reason it is counted by.

Codes are RFC 5321's, those behind them RFC 3463's: 4xx asks the client to come back, 5xx not to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Reason = Literal[
    "away",
    "connections",
    "content",
    "headers",
    "internal",
    "login",
    "rate",
    "recipient",
    "recipients",
    "relay",
    "sender",
    "stopping",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that takes nothing, and its reason."""

    reason: Reason
    reply: str

    def __str__(self) -> str:
        return self.reply


class Refused(Exception):
    """Raised when a mail is not taken; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.reply)


AWAY: Final = Refusal("away", "451 4.3.0 The mail could not be stored just now; send it again later")
INTERNAL: Final = Refusal(
    "internal", "451 4.3.0 The mail could not be processed just now; send it again later"
)
STOPPING: Final = Refusal("stopping", "421 4.3.2 The service is being stopped; send it again later")
CONNECTIONS: Final = Refusal("connections", "421 4.3.2 Too many connections; come back later")

NO_RELAY: Final = Refusal("relay", "550 5.7.1 Relaying is denied: this address may not send mails here")
LOGIN_NEEDED: Final = Refusal("login", "530 5.7.0 Authentication is required")
NO_LOGIN: Final = Refusal("login", "503 5.5.1 There are no users here: send without AUTH")
TLS_NEEDED: Final = Refusal("login", "538 5.7.11 Encryption is required: give STARTTLS first")
WRONG_LOGIN: Final = Refusal("login", "535 5.7.8 Name or password is wrong")
LOGIN_UNREADABLE: Final = Refusal("login", "501 5.5.2 The credentials can't be read")
TOO_MANY_LOGINS: Final = Refusal("login", "421 4.7.0 Too many wrong passwords; come back later")

SYNTAX: Final = Refusal("headers", "501 5.5.4 Syntax: MAIL FROM:<address> and RCPT TO:<address>, in ASCII")
NO_SMTPUTF8: Final = Refusal("sender", "555 5.6.7 SMTPUTF8 is not offered: SES takes none")
NULL_SENDER: Final = Refusal(
    "sender", "550 5.7.1 SES sends no mail without a sender (<>), so bounces and receipts can't go this way"
)
BAD_SENDER: Final = Refusal("sender", "553 5.1.7 The sender is no address that SES takes")
UTF8_SENDER: Final = Refusal("sender", "553 5.6.7 SES takes only ASCII before the @ of the sender")
SENDER_NOT_ALLOWED: Final = Refusal("sender", "550 5.7.1 This sender is not allowed here")
FROM_NOT_ALLOWED: Final = Refusal(
    "sender", "550 5.7.1 The address in the header From or Sender is not allowed here"
)
BAD_RECIPIENT: Final = Refusal("recipient", "553 5.1.3 The recipient is no address that SES takes")
UTF8_RECIPIENT: Final = Refusal("recipient", "553 5.6.7 SES takes only ASCII before the @ of a recipient")

BARE: Final = Refusal(
    "content", "554 5.6.0 The mail holds a CR or LF alone: lines must end with CR LF (RFC 5321, 2.3.8)"
)
LARGE: Final = Refusal("content", "552 5.3.4 The mail is too large")
LARGE_HEADER: Final = Refusal("content", "554 5.6.0 The header of the mail is larger than 1 MB")
TWO_FROMS: Final = Refusal("content", "554 5.6.0 The mail has more than one From header")
LOOP: Final = Refusal("content", "554 5.4.6 The mail has come through too many servers: is it going round?")
PRIORITY: Final = Refusal("headers", "554 5.6.0 X-Rq-Ses-Priority must be high, normal or bulk")


def too_many_recipients(most: int) -> Refusal:
    """Return the reply to a recipient that is one too many."""
    return Refusal("recipients", f"452 4.5.3 Too many recipients: {most} a mail")


def too_fast(seconds: float) -> Refusal:
    """Return the reply to a client that has used up what it may send."""
    return Refusal("rate", f"450 4.7.1 Too many recipients a minute; again in {max(1, round(seconds))} s")


def header_not_allowed(name: str) -> Refusal:
    """Return the reply to a header that this user may not set; its name is ASCII."""
    return Refusal("headers", f"550 5.7.1 The header {name:.60} is for users who are allowed to set it")


def unknown_term(name: str) -> Refusal:
    """Return the reply to a header of ours that says nothing."""
    return Refusal("headers", f"554 5.6.0 The header {name:.60} is not known: there is X-Rq-Ses-Priority")


def unusable(problem: str) -> Refusal:
    """Return the reply to a mail that can't be sent; `problem` says why, in our own words."""
    text = problem.encode("ascii", "replace").decode()
    return Refusal("content", f"554 5.6.0 The mail can't be sent: {text:.400}")
