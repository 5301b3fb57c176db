"""What SES tells of an account and of its identities, read with suspicion: anybody may have answered.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetEmailIdentity.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from rq_ses.text.plaintext import one_line
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, described

ACCOUNT_PATH: Final = "/v2/email/account"
UNLIMITED: Final = -1.0
"""What SES says for a 24-hour quota that has no bound."""

_IDENTITY_PATH: Final = "/v2/email/identities/"
_WORD_LIMIT: Final = 255
_LIST_LIMIT: Final = 20


class AccountRefused(Exception):
    """Raised when SES doesn't tell what it is asked about an account; `outcome` says how it answered."""

    def __init__(self, outcome: Outcome) -> None:
        # A question that may or may not have been read leaves no mail in doubt.
        self.outcome = replace(outcome, ambiguous=False) if outcome.ambiguous else outcome
        super().__init__(described(self.outcome))


@dataclass(frozen=True, slots=True)
class Account:
    """An SES account in one region; quotas count recipients, and `max_24_hour_send` is -1 for no bound."""

    max_send_rate: float
    """Recipients a second."""
    max_24_hour_send: float
    sent_last_24_hours: float
    sending_enabled: bool
    production_access: bool
    """False in the sandbox, where recipients must be verified, too."""
    enforcement_status: str
    """HEALTHY, PROBATION or SHUTDOWN."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An address or a domain that SES knows as a sender; texts are "" where SES tells none."""

    name: str
    kind: str
    """EMAIL_ADDRESS or DOMAIN."""
    verified_for_sending: bool
    verification_status: str
    """PENDING, SUCCESS, FAILED, TEMPORARY_FAILURE or NOT_STARTED."""
    dkim_signing: bool
    dkim_status: str
    """As verification_status."""
    dkim_tokens: tuple[str, ...]
    """Names of the records TOKEN._domainkey.DOMAIN; with a key of one's own, its selector."""
    dkim_origin: str
    """EXTERNAL for a key of one's own, else AWS_SES…"""
    dkim_zone: str
    """Where the tokens' CNAMEs must lead: TOKEN.ZONE."""
    mail_from_domain: str
    mail_from_status: str
    """PENDING, SUCCESS, FAILED or TEMPORARY_FAILURE."""
    configuration_set: str = ""
    """The one that its mails have where they name none."""


def identity_path(name: str) -> str:
    """Return the path of GetEmailIdentity for an address or a domain.

    Raises ValueError if `name` is nothing but dots, which a path doesn't keep.
    """
    if not name.strip("."):
        raise ValueError(f"{name!r} is neither an address nor a domain: give one like example.com")
    return _IDENTITY_PATH + quote(name, safe="")


def read_account(outcome: Outcome, body: bytes) -> Account:
    """Return the account an answer describes. Raises AccountRefused if it doesn't describe one."""
    members = members_of("GetAccount", outcome, body)
    quota = members.group("SendQuota")
    most = quota.number("Max24HourSend", least=UNLIMITED)
    return Account(
        max_send_rate=quota.number("MaxSendRate"),
        max_24_hour_send=UNLIMITED if most < 0 else most,
        sent_last_24_hours=quota.number("SentLast24Hours"),
        sending_enabled=members.flag("SendingEnabled"),
        production_access=members.flag("ProductionAccessEnabled"),
        enforcement_status=members.word("EnforcementStatus"),
    )


def read_identity(name: str, outcome: Outcome, body: bytes) -> Identity | None:
    """Return the identity an answer describes, None if SES says that it has none of that name.

    Raises AccountRefused if the answer says neither.
    """
    if isinstance(outcome, Terminal) and outcome.status == 404 and outcome.code == "NotFoundException":
        return None
    members = members_of("GetEmailIdentity", outcome, body)
    verified = members.flag("VerifiedForSendingStatus")
    dkim = members.group("DkimAttributes", optional=True)
    mail_from = members.group("MailFromAttributes", optional=True)
    return Identity(
        name=name,
        kind=members.word("IdentityType"),
        verified_for_sending=verified,
        verification_status=members.word("VerificationStatus", default="SUCCESS" if verified else "PENDING"),
        dkim_signing=dkim.flag("SigningEnabled", default=False),
        dkim_status=dkim.word("Status", default=""),
        dkim_tokens=dkim.words("Tokens"),
        dkim_origin=dkim.word("SigningAttributesOrigin", default=""),
        dkim_zone=dkim.word("SigningHostedZone", default=""),
        mail_from_domain=mail_from.word("MailFromDomain", default=""),
        mail_from_status=mail_from.word("MailFromDomainStatus", default=""),
        configuration_set=members.word("ConfigurationSetName", default=""),
    )


def members_of(operation: str, outcome: Outcome, body: bytes) -> Members:
    """Return the members of an answer. Raises AccountRefused if it is none, or no JSON object."""
    if not isinstance(outcome, Sent):
        raise AccountRefused(outcome)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    members = Members(operation, outcome, found if isinstance(found, dict) else {})
    if not isinstance(found, dict):
        raise members.odd("is not a JSON object")
    return members


@dataclass(frozen=True, slots=True)
class Members:
    """The members of an answer, each read as what it must be; what isn't that raises AccountRefused."""

    operation: str
    outcome: Outcome
    found: Mapping[str, Any]
    place: str = ""

    def group(self, name: str, *, optional: bool = False) -> Members:
        value = self.found.get(name)
        if value is None and optional:
            value = {}
        if not isinstance(value, dict):
            raise self.odd(f"has no {self.place}{name}")
        return Members(self.operation, self.outcome, value, f"{self.place}{name}.")

    def number(self, name: str, *, least: float = 0.0) -> float:
        value = self.found.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.odd(f"has no number as {self.place}{name}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and number >= least):
            raise self.odd(f"has an impossible number as {self.place}{name}")
        return number

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        value = self.found.get(name, default)
        if not isinstance(value, bool):
            raise self.odd(f"has neither true nor false as {self.place}{name}")
        return value

    def word(self, name: str, *, default: str | None = None) -> str:
        value = self.found.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise self.odd(f"has no text as {self.place}{name}")
        return one_line(value, _WORD_LIMIT)

    def words(self, name: str) -> tuple[str, ...]:
        value = self.found.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise self.odd(f"has no list of texts as {self.place}{name}")
        return tuple(one_line(word, _WORD_LIMIT) for word in value[:_LIST_LIMIT])

    def odd(self, what: str) -> AccountRefused:
        text = f"The answer to {self.operation} {what}."
        status, request_id, answered = self.outcome.status, self.outcome.request_id, self.outcome.answered
        return AccountRefused(Terminal(status, "InvalidAnswer", text, request_id, answered=answered))
