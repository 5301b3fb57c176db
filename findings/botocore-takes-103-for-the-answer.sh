#!/usr/bin/env bash
# Software: botocore 1.44.8 (urllib3 2.8.0, http.client of Python 3.11)
# Input:    sesv2 send_email; the server answers "103 Early Hints" and then, in the same connection, the final
#           "429 TooManyRequestsException". RFC 9110, 15.2: a client must be able to parse one or more 1xx answers
#           before the final one, and ignores those it doesn't know.
# Expected: the 429, as without the 103: it is repeated, and at last an exception is raised.
# Real:     http.client skips 100 alone and takes any other 1xx for the final answer. botocore sees a status below
#           300 and returns a success, without a MessageId, after one request: the mail was refused and is lost.
# Seen:     without 103: ClientError TooManyRequestsException after 3 requests
#           with 103: success, HTTPStatusCode 103, MessageId None, after 1 request
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check botocore==1.44.8 urllib3==2.8.0
cat >"$place/finding.py" <<'EOF'
import socketserver
import threading

import botocore.session
from botocore.exceptions import ClientError

BODY = b'{"message":"Maximum sending rate exceeded."}'
FINAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
    b"x-amzn-errortype: TooManyRequestsException\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


def call(early):
    requests = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline():
                length = 0
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.rfile.read(length)
                requests.append(length)
                self.wfile.write((EARLY if early else b"") + FINAL)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = botocore.session.get_session()
        client = session.create_client(
            "sesv2",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="example",
        )
        try:
            answer = client.send_email(
                FromEmailAddress="a@shop.example",
                Destination={"ToAddresses": ["b@shop.example"]},
                Content={"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "Hello"}}}},
            )
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            told = f"success, HTTPStatusCode {status}, MessageId {answer.get('MessageId')},"
        except ClientError as exc:
            told = f"ClientError {exc.response['Error']['Code']}"
        server.shutdown()
    return f"{told} after {len(requests)} request{'s' if len(requests) > 1 else ''}"


print("without 103:", call(early=False))
print("with 103:", call(early=True))
EOF
seen='without 103: ClientError TooManyRequestsException after 3 requests
with 103: success, HTTPStatusCode 103, MessageId None, after 1 request'
found=$(env -i PATH="$PATH" HOME="$place" "$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
