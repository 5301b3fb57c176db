"""`rq-ses discard`, as an operator runs it."""

from __future__ import annotations

import json

from redis import Redis

from support.mails.failed_mails import some
from support.mails.keys import KEYS
from support.programs.processes import run


def failed(redis: Redis) -> int:
    return int(redis.zcard(KEYS.registry("failed", "mail")))


def test_a_discard_shows_what_it_would_delete_and_asks(redis: Redis, env: dict[str, str]) -> None:
    some(redis)
    done = run(["discard", "--dry-run", "--limit", "2"], env)
    assert (done.returncode, done.stderr) == (0, "2 mails would be deleted\n")
    assert " 3  MessageRejected: " in done.stdout
    planned = run(["discard", "--dry-run", "--json"], env)
    assert (planned.returncode, json.loads(planned.stdout)) == (0, {"would_discard": 4, "unknown": 1})
    done = run(["discard"], env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no terminal to ask on: give --yes" in done.stderr
    assert failed(redis) == 4


def test_discarded_mails_are_gone_and_those_in_doubt_are_counted(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    done = run(["discard", "--yes", "--json"], env)
    assert (done.returncode, done.stderr) == (0, "4 mails deleted; 1 of them SES may have accepted\n")
    none = {"again": 0, "gone": 0, "foreign": 0, "partly": 0}
    assert json.loads(done.stdout) == {"discarded": 4, "unknown": 1, **none}
    assert failed(redis) == 0
    assert not redis.exists(*(KEYS.job(job_id) for job_id in ids))


def test_job_ids_that_are_no_failed_mails_are_told(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    done = run(["discard", "--yes", "no-such-job", ids[0]], env)
    assert done.returncode == 1
    assert done.stderr == "1 job id is no failed mail's\n1 mail deleted\n"
    assert failed(redis) == 3
    done = run(["discard", "--yes", "--json", "no-such-job"], env)
    assert (done.returncode, json.loads(done.stdout)["discarded"]) == (1, 0)
    assert done.stderr == "no failed mail to delete\n1 job id is no failed mail's\n"
