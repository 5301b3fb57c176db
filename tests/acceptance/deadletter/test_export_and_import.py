"""Failed mails in a file: `rq-ses failed --export` and `rq-ses import`."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from redis import Redis

from support.mails.failed_mails import queued, some
from support.programs.processes import PATIENCE, run


def test_an_export_is_imported_into_an_empty_redis_and_sent(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    ids, file = some(redis), tmp_path / "failed.jsonl"
    done = run(["failed", "--export", str(file)], env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "4 mails written\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(["failed", "--export", "-"], env).stdout == file.read_text()
    done = run(["failed", "--export", str(file)], env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already: give another name" in done.stderr

    before = run(["failed", "--list"], env).stdout
    redis.flushall()
    done = run(["import", str(file)], env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "4 put back as failed, 0 queued, 0 there already, 0 bad lines\n"
    assert sorted(run(["failed", "--list"], env).stdout.splitlines()) == sorted(before.splitlines())
    assert run(["import", "--json", str(file)], env).stdout == (
        '{"failed": 0, "queued": 0, "unknown": 0, "exists": 4, "bad": 0, "lines": 4}\n'
    )
    redis.flushall()
    done = run(["import", "--resend", "-"], env, stdin=f"{file.read_text()}nonsense\n")
    assert done.returncode == 1
    assert "line 5: not JSON" in done.stderr
    assert (
        "1 put back as failed, 3 queued, 0 there already, 1 bad line\n1 mail not queued: SES may"
        in done.stderr
    )
    assert sorted(queued(redis)) == sorted(ids[:3])


def test_a_file_that_can_t_be_written_is_an_error(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    some(redis)
    file = tmp_path / "failed.jsonl"
    done = subprocess.run(
        ["sh", "-c", f'ulimit -f 0; exec "{sys.executable}" -m rq_ses failed --export "{file}"'],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"Error: --export: '{file}' can't be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
