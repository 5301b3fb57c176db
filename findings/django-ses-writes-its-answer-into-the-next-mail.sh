#!/usr/bin/env bash
# Software: django-ses 4.8.2 with Django 5.2.9 (boto3 1.44.8)
# Input:    one EmailMessage, sent twice through django_ses.SESBackend, as a reminder or a retry does.
# Expected: the same mail twice. Sending a message doesn't change what it says.
# Real:     after a success the backend writes the status, the message id and the request id of SES's answer into
#           message.extra_headers, which are the message's headers: the second mail carries them to its reader.
# Seen:     first mail: no header of that kind
#           second mail: message_id, request_id, status
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check django-ses==4.8.2 django==5.2.9 boto3==1.44.8
cat >"$place/finding.py" <<'EOF'
import base64
import json
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import django
from django.conf import settings

mails = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Content"]
        mails.append(message_from_bytes(base64.b64decode(content["Raw"]["Data"])))
        body = json.dumps({"MessageId": f"of-ses-{len(mails)}"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("x-amzn-RequestId", f"request-{len(mails)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings.configure(
    EMAIL_BACKEND="django_ses.SESBackend",
    USE_SES_V2=True,
    AWS_SES_AUTO_THROTTLE=None,
    AWS_SES_REGION_NAME="us-east-1",
    AWS_SES_REGION_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}",
    AWS_ACCESS_KEY_ID="AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY="example",
)
django.setup()

from django.core.mail import EmailMessage  # noqa: E402

message = EmailMessage("Hi", "Hello", "a@shop.example", ["b@shop.example"])
message.send()
message.send()
for place, mail in zip(("first", "second"), mails, strict=True):
    found = sorted({name.lower() for name in mail} & {"status", "message_id", "request_id", "error_code"})
    print(f"{place} mail: {', '.join(found) or 'no header of that kind'}")
EOF
seen='first mail: no header of that kind
second mail: message_id, request_id, status'
found=$(env -i PATH="$PATH" HOME="$place" "$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
