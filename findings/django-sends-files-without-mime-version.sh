#!/usr/bin/env bash
# Software: Django 6.0.10 (Python 3.12 or newer)
# Input:    a mail that has a file and no body, EmailMessage(attachments=[(name, bytes, type)]), as Django sends it.
# Expected: a header MIME-Version: RFC 2045, section 4, asks for it at the top of each mail that is MIME, and goes by it for
#           whether a mail is. Django 5.2 writes it, and Django 6 does for a mail that has a body, too.
# Real:     Content-Type: multipart/mixed, and no MIME-Version: a reader that goes by the RFC shows lines of base64 as text.
# Seen:     with a body: multipart/mixed, MIME-Version 1.0
#           a file alone: multipart/mixed, MIME-Version None
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check django==6.0.10
cat >"$place/finding.py" <<'EOF'
from email import message_from_bytes

from django.conf import settings
from django.core.mail import EmailMessage

settings.configure()
for name, body in (("with a body", "See the file."), ("a file alone", "")):
    files = [("a.pdf", b"%PDF-1.7", "application/pdf")]
    mail = EmailMessage("Report", body, "a@shop.example", ["b@shop.example"], attachments=files)
    sent = message_from_bytes(mail.message().as_bytes())
    print(f"{name}: {sent.get_content_type()}, MIME-Version {sent['MIME-Version']}")
EOF
seen='with a body: multipart/mixed, MIME-Version 1.0
a file alone: multipart/mixed, MIME-Version None'
found=$(env -i PATH="$PATH" HOME="$place" "$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
