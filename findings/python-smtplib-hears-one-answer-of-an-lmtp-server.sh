#!/usr/bin/env bash
# Software: the standard library of Python (smtplib.LMTP); seen in 3.11.7, 3.12.1 and 3.13.0
# Input:    one mail for two mailboxes by LMTP.sendmail(); the server takes both RCPT and, behind the mail, answers 250 for
#           the first mailbox and 552 for the second, which is full. Then a mail for a third one over the same connection.
# Expected: {"ben@customer.example": (552, ...)}: an LMTP server gives an answer for each accepted RCPT (RFC 2033, 4.2), and
#           sendmail's docs promise an entry for each recipient that was refused. The third mail is accepted.
# Real:     one answer is read. sendmail returns {}, as if everybody had the mail: the refusal is lost, and nobody tries again.
#           It is taken for the answer to the next MAIL, so that mail isn't sent: SMTPSenderRefused, for a sender that is fine.
# Seen:     for anna and ben: refused {}
#           for cleo: SMTPSenderRefused 552 5.2.2 mailbox of ben full
#           delivered: anna
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv --without-pip "$place/venv"
cat >"$place/finding.py" <<'EOF'
import smtplib
import socketserver
import threading

MAIL = "Subject: Hi\r\n\r\nHello\r\n"
delivered = []


class Server(socketserver.StreamRequestHandler):
    def handle(self):
        self.answer("220 lmtp.example")
        taken = []
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "MAIL":
                taken = []
            if word == "RCPT":
                taken.append(line.partition("<")[2].partition("@")[0])
            if word != "DATA":
                self.answer("250 OK")
                continue
            self.answer("354 go on")
            while self.rfile.readline() != b".\r\n":
                pass
            for name in taken:
                if name == "ben":
                    self.answer("552 5.2.2 mailbox of ben full")
                else:
                    delivered.append(name)
                    self.answer(f"250 2.1.5 {name} has it")

    def answer(self, text):
        self.wfile.write(text.encode() + b"\r\n")


with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = smtplib.LMTP("127.0.0.1", server.server_address[1], local_hostname="app.example", timeout=20)
    to = ["anna@customer.example", "ben@customer.example"]
    print("for anna and ben: refused", client.sendmail("a@shop.example", to, MAIL))
    try:
        print("for cleo: refused", client.sendmail("a@shop.example", ["cleo@customer.example"], MAIL))
    except smtplib.SMTPSenderRefused as exc:
        print("for cleo: SMTPSenderRefused", exc.smtp_code, exc.smtp_error.decode())
    client.close()
    server.shutdown()
print("delivered:", ", ".join(delivered))
EOF
seen='for anna and ben: refused {}
for cleo: SMTPSenderRefused 552 5.2.2 mailbox of ben full
delivered: anna'
found=$("$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
