#!/usr/bin/env bash
# Software: aiosmtpd 1.4.6
# Input:    a client that has logged in gives MAIL FROM:<anna@shop.example> AUTH=<>, as Postfix does whenever it has
#           logged in.
# Expected: 250: who offers AUTH has the parameter AUTH of MAIL (RFC 4954, 5), and <> says that nobody is vouched for.
# Real:     555, a permanent refusal: Postfix returns the mail to its sender.
# Seen:     AUTH is offered: True
#           login: 235
#           MAIL: 250
#           MAIL with AUTH=<>: 555 MAIL FROM parameters not recognized or not implemented
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check aiosmtpd==1.4.6
cat >"$place/finding.py" <<'EOF'
import smtplib

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"


def anybody(server, session, envelope, mechanism, login):
    return AuthResult(success=True)


# auth_require_tls=False: on loopback there is nobody to read along.
controller = Controller(
    Handler(), hostname="127.0.0.1", port=20025, authenticator=anybody, auth_require_tls=False
)
controller.start()
try:
    with smtplib.SMTP("127.0.0.1", controller.port) as client:
        client.ehlo()
        print("AUTH is offered:", client.has_extn("auth"))
        print("login:", client.login("anna", "password")[0])
        print("MAIL:", client.mail("anna@shop.example")[0])
        client.rset()
        code, text = client.mail("anna@shop.example", ["AUTH=<>"])
        print("MAIL with AUTH=<>:", code, text.decode())
finally:
    controller.stop()
EOF
seen="AUTH is offered: True
login: 235
MAIL: 250
MAIL with AUTH=<>: 555 MAIL FROM parameters not recognized or not implemented"
found=$("$place/venv/bin/python" "$place/finding.py" 2>/dev/null)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
