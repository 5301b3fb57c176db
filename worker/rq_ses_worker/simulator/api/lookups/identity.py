"""GetEmailIdentity: the addresses and domains that the simulated account has verified.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetEmailIdentity.html
"""

from __future__ import annotations

import hashlib
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rq_ses_worker.simulator.api.answers import Answer, error
from rq_ses_worker.simulator.options import Options

PATH: Final = b"/v2/email/identities/"

_TOKENS: Final = 3
_TOKEN_LENGTH: Final = 32


def identity_of(path: bytes) -> str | None:
    """Return the name that a path of GetEmailIdentity asks for, None if it is no such path."""
    _, found, name = path.rpartition(PATH)
    if not found or not name or b"/" in name:
        return None
    return unquote_to_bytes(name).decode("utf-8", "replace")


def get_identity(name: str, options: Options) -> Answer:
    """Return SES's answer about an identity.

    Where no identities are configured, and it isn't the sandbox, any domain is one: nothing is checked then.
    """
    lower = name.lower()
    verified = {identity.lower().removeprefix("@") for identity in options.verified}
    unchecked = not verified and not options.sandbox
    if lower not in verified and not (unchecked and "@" not in lower):
        return error(404, "NotFoundException", f"Email identity {name} does not exist.")
    return Answer(200, members=_members(lower))


def tokens(domain: str) -> list[str]:
    """Return the DKIM tokens of a domain, always the same ones."""
    digests = [hashlib.sha256(f"{number} {domain}".encode()).hexdigest() for number in range(_TOKENS)]
    return [digest[:_TOKEN_LENGTH] for digest in digests]


def _members(name: str) -> dict[str, Any]:
    is_address = "@" in name
    return {
        "IdentityType": "EMAIL_ADDRESS" if is_address else "DOMAIN",
        "FeedbackForwardingStatus": True,
        "VerifiedForSendingStatus": True,
        "VerificationStatus": "SUCCESS",
        "DkimAttributes": {
            "SigningEnabled": not is_address,
            "Status": "NOT_STARTED" if is_address else "SUCCESS",
            "SigningAttributesOrigin": "AWS_SES",
            **({} if is_address else {"Tokens": tokens(name), "SigningHostedZone": "dkim.amazonses.com"}),
        },
        "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
        "Policies": {},
        "Tags": [],
    }
