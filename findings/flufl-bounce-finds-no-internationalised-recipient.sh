#!/usr/bin/env bash
# Software: flufl.bounce 6.0.0
# Input:    a delivery status notification whose failed recipient has the address type utf-8 (RFC 6533, 3), and the
#           same notification with the type rfc822.
# Expected: both are permanent failures of the address they name; Action: failed and Status: 5.1.1 are the same.
# Real:     the one of type utf-8 isn't found: all_failures returns two empty sets, as for a mail that is no bounce.
# Seen:     rfc822: permanent [b'anna@customer.example'], temporary []
#           utf-8: permanent [], temporary []
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check flufl.bounce==6.0.0
cat >"$place/finding.py" <<'EOF'
from email import message_from_bytes

from flufl.bounce import all_failures

TEXT = """From: MAILER-DAEMON@mx.example
To: bounces@shop.example
Subject: Delivery Status Notification (Failure)
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=utf-8

The mail could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: {kind}; anna@customer.example
Action: failed
Status: 5.1.1

--b--
"""


def found(kind):
    temporary, permanent = all_failures(message_from_bytes(TEXT.format(kind=kind).encode()))
    return f"permanent {sorted(permanent)}, temporary {sorted(temporary)}"


print("rfc822:", found("rfc822"))
print("utf-8:", found("utf-8"))
EOF
seen="rfc822: permanent [b'anna@customer.example'], temporary []
utf-8: permanent [], temporary []"
found=$("$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
