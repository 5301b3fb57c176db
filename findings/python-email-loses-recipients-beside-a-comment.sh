#!/usr/bin/env bash
# Software: the standard library of Python 3.13 (email.utils, smtplib); seen in 3.13.0, not in 3.11.7 and 3.12.1
# Input:    a mail To three people, of whom one has a comment with a comma in it, anna@shop.example (Sales, Berlin), or an
#           address with an IPv6 literal, <anna@[IPv6:2001:db8::1]>; smtplib's send_message, which goes by the headers.
# Expected: three recipients. Commas may stand in comments (RFC 5322, 3.2.2), literals are domains (3.4.1 there; RFC 5321,
#           4.1.3), and the same module's own parser, email.policy.default, finds all three.
# Real:     getaddresses() counts the commas, those of comments, too, and where it finds fewer addresses than that it gives
#           one pair of empty strings for all headers together: smtplib asks for "RCPT TO:<>" alone, and nobody gets the
#           mail. Of addresses with a literal it gives an empty pair each, and the same request stands among the others.
# Seen:     plain: the policy finds 3, asked for anna@shop.example, ben@shop.example, cleo@shop.example
#           a comma in a comment: the policy finds 3, asked for <>
#           a literal: the policy finds 3, asked for <>, ben@shop.example, cleo@shop.example
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv --without-pip "$place/venv"
cat >"$place/finding.py" <<'EOF'
import smtplib
import socketserver
import threading
from email import message_from_string, policy

asked = []


class Server(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mx.example\r\n")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "RCPT":
                asked.append(line.partition(":")[2].strip("<>") or "<>")
            if word == "DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() != b".\r\n":
                    pass
            refused = word == "RCPT" and asked[-1] == "<>"
            self.wfile.write(b"553 nobody\r\n" if refused else b"250 mx.example\r\n")


def send(to):
    mail = message_from_string(f"From: shop@shop.example\nTo: {to}\nCc: cleo@shop.example\nSubject: Hi\n\nHello\n")
    parsed = message_from_string(mail.as_string(), policy=policy.default)
    asked.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = smtplib.SMTP("127.0.0.1", server.server_address[1], local_hostname="app.example")
        try:
            client.send_message(mail)
        except smtplib.SMTPRecipientsRefused:
            pass
        client.close()
        server.shutdown()
    found = sum(len(parsed[name].addresses) for name in ("To", "Cc"))
    return f"the policy finds {found}, asked for {', '.join(asked)}"


print("plain:", send("anna@shop.example, ben@shop.example"))
print("a comma in a comment:", send("anna@shop.example (Sales, Berlin), ben@shop.example"))
print("a literal:", send("<anna@[IPv6:2001:db8::1]>, ben@shop.example"))
EOF
seen='plain: the policy finds 3, asked for anna@shop.example, ben@shop.example, cleo@shop.example
a comma in a comment: the policy finds 3, asked for <>
a literal: the policy finds 3, asked for <>, ben@shop.example, cleo@shop.example'
found=$("$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
