#!/usr/bin/env bash
# Software: the standard library of Python (email, its default policy compat32); seen in 3.11.7, 3.12.1 and 3.13.0
# Input:    a text whose headers have comments: "Content-Type: text/plain; charset=us-ascii (Plain text)", the example of
#           RFC 2045, 5.1, and "Content-Transfer-Encoding: base64 (as of old)".
# Expected: what the same text without comments gives: they have no meaning and are ignored in MIME's headers (RFC 2045, 3;
#           5.1 calls that example equivalent to charset="us-ascii"). The parser of email.policy.default reads both values.
# Real:     the comments count as part of the values. get_payload(decode=True) gives base64 as the content, and raises
#           nothing; the charset is one that no codec has.
# Seen:     without comments: charset us-ascii, content b'hello'
#           with comments: charset us-ascii (plain text), content b'aGVsbG8=\n'
#           the headers by email.policy.default: charset us-ascii, encoding base64
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv --without-pip "$place/venv"
cat >"$place/finding.py" <<'EOF'
from email import message_from_string, policy

TEXT = """MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii{first}
Content-Transfer-Encoding: base64{second}

aGVsbG8=
"""


def read(first, second):
    mail = message_from_string(TEXT.format(first=first, second=second))
    return f"charset {mail.get_content_charset()}, content {mail.get_payload(decode=True)}"


comments = " (Plain text)", " (as of old)"
print("without comments:", read("", ""))
print("with comments:", read(*comments))
mail = message_from_string(TEXT.format(first=comments[0], second=comments[1]), policy=policy.default)
charset, encoding = mail["Content-Type"].params["charset"], mail["Content-Transfer-Encoding"].cte
print(f"the headers by email.policy.default: charset {charset}, encoding {encoding}")
EOF
seen="without comments: charset us-ascii, content b'hello'
with comments: charset us-ascii (plain text), content b'aGVsbG8=\\n'
the headers by email.policy.default: charset us-ascii, encoding base64"
found=$("$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
