#!/usr/bin/env bash
# Software: Starlette 1.10.0 (and so FastAPI 0.165.0)
# Input:    an ASGI app mounted with app.mount("/hooks/ses", inner), and a POST of /hooks/ses, the very path, as a webhook has it.
# Expected: the inner app gets it, its path being empty below the mount: so do WSGI's dispatchers treat a prefix.
# Real:     the answer is a redirect to /hooks/ses/ (307), and the inner app sees nothing. Amazon SNS and most senders of webhooks
#           don't follow redirects; SNS takes anything below 500 for its end, so what was told is gone.
# Seen:     mounted: POST /hooks/ses 307, POST /hooks/ses/ 200
#           as a route: POST /hooks/ses 200
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check starlette==1.10.0
cat >"$place/finding.py" <<'EOP'
import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse


class Inner:
    async def __call__(self, scope, receive, send):
        await PlainTextResponse("taken")(scope, receive, send)


async def status(app, path):
    told = []

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        told.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"app.example")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return told[0]["status"]


async def main():
    mounted, routed = Starlette(), Starlette()
    mounted.mount("/hooks/ses", Inner())
    routed.add_route("/hooks/ses", Inner(), methods=["POST"])
    at, below = await status(mounted, "/hooks/ses"), await status(mounted, "/hooks/ses/")
    print(f"mounted: POST /hooks/ses {at}, POST /hooks/ses/ {below}")
    print(f"as a route: POST /hooks/ses {await status(routed, '/hooks/ses')}")


asyncio.run(main())
EOP
seen='mounted: POST /hooks/ses 307, POST /hooks/ses/ 200
as a route: POST /hooks/ses 200'
found=$(env -i PATH="$PATH" HOME="$place" "$place/venv/bin/python" "$place/finding.py")
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
