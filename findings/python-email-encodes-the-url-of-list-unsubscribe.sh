#!/usr/bin/env bash
# Software: the standard library of Python (email.message.EmailMessage); seen in 3.11.7, 3.12.1 and 3.13.0
# Input:    a message whose List-Unsubscribe is one URL in angle brackets, ASCII alone, 100 characters long.
# Expected: the line as it is. RFC 2369 puts URLs there, RFC 8058's one-click needs them, and RFC 2047, 5 forbids
#           encoded words in a structured field. A line may have 998 characters (RFC 5322, 2.1.1).
# Real:     with email.policy.default and .SMTP a value that doesn't fit in 78 columns, and has no blank to fold at,
#           is written as encoded words: read as RFC 2369 says, the field has no URL. The older policy, compat32,
#           writes it whole.
# Seen:     short: <https://shop.example/unsubscribe?token=aaaa>
#           long, compat32: whole
#           long, SMTP: =?utf-8?q?=3Chttps=3A//shop=2Eexample/unsubscribe=3Ftoken?=
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv --without-pip "$place/venv"
cat >"$place/finding.py" <<'EOF'
from email import policy
from email.message import EmailMessage, Message


def written(length, how):
    url = "<https://shop.example/unsubscribe?token=" + "a" * length + ">"
    message = Message() if how is policy.compat32 else EmailMessage(policy=how)
    message["List-Unsubscribe"] = url
    head = message.as_bytes(policy=how).decode()
    value = head.partition(":")[2].strip().splitlines()
    return "whole" if value[0] == url and length > 10 else value[0]


print("short:", written(4, policy.SMTP))
print("long, compat32:", written(60, policy.compat32))
print("long, SMTP:", written(60, policy.SMTP))
EOF
seen='short: <https://shop.example/unsubscribe?token=aaaa>
long, compat32: whole
long, SMTP: =?utf-8?q?=3Chttps=3A//shop=2Eexample/unsubscribe=3Ftoken?='
found=$("$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
