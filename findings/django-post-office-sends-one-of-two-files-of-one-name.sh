#!/usr/bin/env bash
# Software: django-post_office 3.12.0 with Django 5.2.19
# Input:    an EmailMessage with two files, both named bill.pdf, sent by post_office.EmailBackend and then by
#           `send_queued_mail`; and the same mail by one of Django's own backends.
# Expected: two files. Django's attach() may be called again and again, and asks for no other name; nor does a mail. The page
#           of post_office has its backend set as EMAIL_BACKEND, in the place of Django's.
# Real:     one file, the last one that has the name. The mail counts as sent, and nothing is said of the other.
# Seen:     Django's own: bill.pdf b'%PDF-1.7 first', bill.pdf b'%PDF-1.7 second'
#           post_office: bill.pdf b'%PDF-1.7 second'
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check django-post_office==3.12.0 django==5.2.19
cd "$place"
cat >finding.py <<'EOF'
import django
from django.conf import settings

OWN = "django.core.mail.backends.locmem.EmailBackend"
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MEDIA_ROOT="media",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    POST_OFFICE={"BACKENDS": {"default": OWN}},
)
django.setup()

from django.core import mail  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0)
for name, backend in (("Django's own", OWN), ("post_office", "post_office.EmailBackend")):
    mail.outbox = []
    message = mail.EmailMessage("Bills", "See the files.", "a@shop.example", ["b@shop.example"])
    message.attach("bill.pdf", b"%PDF-1.7 first", "application/pdf")
    message.attach("bill.pdf", b"%PDF-1.7 second", "application/pdf")
    mail.get_connection(backend).send_messages([message])
    if backend != OWN:
        call_command("send_queued_mail", processes=1, verbosity=0)
    files = mail.outbox[0].message().get_payload()[1:]
    print(f"{name}: " + ", ".join(f"{one.get_filename()} {one.get_payload(decode=True)}" for one in files))
EOF
seen="Django's own: bill.pdf b'%PDF-1.7 first', bill.pdf b'%PDF-1.7 second'
post_office: bill.pdf b'%PDF-1.7 second'"
found=$(env -i PATH="$PATH" HOME="$place" TMPDIR="$place" venv/bin/python finding.py 2>/dev/null)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
