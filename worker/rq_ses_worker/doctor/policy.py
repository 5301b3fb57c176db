"""The least that IAM must allow a sender, as a policy to attach.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonses.html
"""

from __future__ import annotations

from typing import Any, Final

from rq_ses.aws.regions import partition_of

ACCOUNT_PLACEHOLDER: Final = "ACCOUNT-ID"
IDENTITY_PLACEHOLDER: Final = "example.com"


def policy(
    region: str,
    *,
    sender: str | None = None,
    account_id: str | None = None,
    raw: bool = True,
    configuration_set: str | None = None,
    suppression: bool = False,
) -> dict[str, Any]:
    """Return the policy: sending from the sender's identity, and asking for the account's limits.

    Args:
        region: of SES.
        sender: an address, whose domain's identity counts, too, or a domain; else a placeholder.
        account_id: of AWS, 12 digits; else a placeholder.
        raw: whether raw content (RawMessage) is sent as well, which IAM calls ses:SendRawEmail.
        configuration_set: one that the mails name: it is a resource of its own.
        suppression: whether SES's own suppression list is read, too (`rq-ses suppression sync`).
    """
    arn = f"arn:{partition_of(region).name}:ses:{region}:{account_id or ACCOUNT_PLACEHOLDER}"
    name = sender or IDENTITY_PLACEHOLDER
    identities = [name.rpartition("@")[2], name] if "@" in name else [name]
    resources = [f"{arn}:identity/{identity}" for identity in identities]
    if configuration_set:
        resources.append(f"{arn}:configuration-set/{configuration_set}")
    statements: list[dict[str, Any]] = [
        {
            "Sid": "Send",
            "Effect": "Allow",
            "Action": ["ses:SendEmail", *(["ses:SendRawEmail"] if raw else [])],
            "Resource": resources,
        },
        _allowed("SendRate", "ses:GetAccount"),
    ]
    if configuration_set:
        # For the doctor, which else can't say whether anybody is told of bounces.
        statements.append(_allowed("Events", "ses:GetConfigurationSetEventDestinations", [resources[-1]]))
    if suppression:
        statements.append(_allowed("SuppressionList", "ses:ListSuppressedDestinations"))
    return {"Version": "2012-10-17", "Statement": statements}


def _allowed(sid: str, action: str, resources: str | list[str] = "*") -> dict[str, Any]:
    """Return a statement about one action; one that knows no resources is allowed on all."""
    return {"Sid": sid, "Effect": "Allow", "Action": [action], "Resource": resources}
