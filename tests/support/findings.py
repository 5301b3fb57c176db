"""What the doctor is told, and what it found, in short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rq_ses_worker.doctor.finding import Finding
from rq_ses_worker.ses.account import Account, Identity
from rq_ses_worker.ses.outcome import Terminal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = Account(14.0, 50_000.0, 12.0, True, True, "HEALTHY")
DOMAIN = Identity(
    "example.com",
    "DOMAIN",
    True,
    "SUCCESS",
    True,
    "SUCCESS",
    ("t1",),
    "AWS_SES",
    "dkim.amazonses.com",
    "",
    "",
)
DENIED = Terminal(403, "AccessDeniedException", "User: arn:… is not authorized to perform: ses:GetAccount")
MISMATCH = Terminal(403, "InvalidSignatureException", "The request signature we calculated does not match …")
SKEWED = Terminal(403, "InvalidSignatureException", "Signature expired: 2026… is now earlier than …")
SECRET = "sentinel-secret-sentinel"
TOKEN = "sentinel-token-sentinel"
LASTING, TEMPORARY = "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"


def severities(findings: Iterator[Finding] | list[Finding]) -> dict[str, str]:
    return {finding.id: finding.severity for finding in findings}
