#!/usr/bin/env bash
# Software: boto3 and botocore 1.44.8, with their default settings but for the read time-out
# Input:    one call of sesv2 send_email to a server that accepts each mail at once and answers a second too late.
# Expected: one request, and an exception that says that the answer didn't come. SendEmail has no idempotency token,
#           so whoever repeats it without having been refused may send the mail again; only the caller can decide that.
# Real:     three requests, each of which the server has accepted: three mails for one call, and one exception. With
#           an answer that is late once, two mails, and no exception at all.
# Seen:     one call: 3 mails accepted, ReadTimeoutError
#           only the first answer is late: 2 mails accepted, the caller has one MessageId
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.8 botocore==1.44.8
cat >"$place/finding.py" <<'EOF'
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

accepted = []
late = set()


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        accepted.append(self.path)
        body = json.dumps({"MessageId": f"mail-{len(accepted)}"}).encode()
        if len(accepted) in late:
            time.sleep(1.5)
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = boto3.client(
    "sesv2",
    region_name="us-east-1",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="example",
    config=Config(read_timeout=0.5),
)


def send():
    return client.send_email(
        FromEmailAddress="a@shop.example",
        Destination={"ToAddresses": ["b@shop.example"]},
        Content={"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "Hello"}}}},
    )


late |= {1, 2, 3, 4, 5}
try:
    send()
    print("one call: no exception")
except BotoCoreError as exc:
    print(f"one call: {len(accepted)} mails accepted, {type(exc).__name__}")
accepted.clear()
late.clear()
late.add(1)
answer = send()
ids = "one MessageId" if isinstance(answer.get("MessageId"), str) else answer
print(f"only the first answer is late: {len(accepted)} mails accepted, the caller has {ids}")
EOF
seen='one call: 3 mails accepted, ReadTimeoutError
only the first answer is late: 2 mails accepted, the caller has one MessageId'
found=$(env -i PATH="$PATH" HOME="$place" "$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
