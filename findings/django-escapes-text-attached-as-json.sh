#!/usr/bin/env bash
# Software: Django 5.2.19
# Input:    EmailMessage.attach("cities.json", '["Köln", "Łódź"]', "application/json"), and the mail as Django sends it.
# Expected: the text in UTF-8. Django's page "Sending email" lets content be text, and encodes a text/plain file and the body
#           in UTF-8; JSON is UTF-8 by RFC 8259, section 8.1.
# Real:     characters up to U+00FF are one byte each (Latin-1), those beyond are written out as \u and four digits: a file
#           that is neither UTF-8 nor what was given. Nothing is raised. (Django 6.0 attaches UTF-8.)
# Seen:     text/plain: b'["K\xc3\xb6ln", "\xc5\x81\xc3\xb3d\xc5\xba"]'
#           application/json: b'["K\xf6ln", "\\u0141\xf3d\\u017a"]'
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check django==5.2.19
cat >"$place/finding.py" <<'EOF'
from email import message_from_bytes

from django.conf import settings
from django.core.mail import EmailMessage

settings.configure()
for kind in ("text/plain", "application/json"):
    mail = EmailMessage("Cities", "See the file.", "a@shop.example", ["b@shop.example"])
    mail.attach("cities.json", '["Köln", "Łódź"]', kind)
    sent = message_from_bytes(mail.message().as_bytes())
    print(f"{kind}: {sent.get_payload()[1].get_payload(decode=True)}")
EOF
seen=$(cat <<'EOF'
text/plain: b'["K\xc3\xb6ln", "\xc5\x81\xc3\xb3d\xc5\xba"]'
application/json: b'["K\xf6ln", "\\u0141\xf3d\\u017a"]'
EOF
)
found=$(env -i PATH="$PATH" HOME="$place" LC_ALL=C.UTF-8 "$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
