"""`rq-ses campaign`: files of any length, each entry enqueued once whatever ends the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from rq_ses import contract
from rq_ses.campaign import bulkjob
from support.mails.keys import KEYS
from support.programs.processes import PATIENCE, environment, run
from support.servers.durable import DurableValkey
from support.waiting import wait_for

TEMPLATE = """\
campaign = "spring"
sender = "Shop <shop@example.com>"
subject = "For {{name}}"
text = "Dear {{name}}"
html = "<p>Dear {{name}}"
"""
COUNT = 6000


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "spring.toml").write_text(TEMPLATE)
    return str(tmp_path / "spring.toml")


def lines(first: int, last: int) -> str:
    return "".join(f"user{n}@example.org,User {n}\n" for n in range(first, last))


@pytest.fixture
def entries(tmp_path: Path) -> str:
    (tmp_path / "readers.csv").write_text(f"to,name\n{lines(0, COUNT)}")
    return str(tmp_path / "readers.csv")


def sent(redis: Redis) -> Counter[str]:
    jobs = Queue("mail-bulk", connection=redis, serializer=contract.SERIALIZER).get_jobs()
    return Counter(entry.to for job in jobs for entry in bulkjob.read(job.args[0]).entries)


def everybody(count: int = COUNT) -> Counter[str]:
    return Counter(f"user{n}@example.org" for n in range(count))


def begun(url: str, template: str) -> subprocess.Popen[str]:
    """Start the command on a pipe that brings half of the entries, and stays open."""
    command = [sys.executable, "-m", "rq_ses", "campaign", "send", "--template", template, "--entries", "-"]
    process = subprocess.Popen(
        command, env=environment(RQ_SES_REDIS_URL=url),
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(f"to,name\n{lines(0, COUNT // 2)}")
    process.stdin.flush()
    with Redis.from_url(url) as redis:
        wait_for(lambda: redis.llen(KEYS.queue("mail-bulk")) >= 20)
    return process


def test_it_is_sent_looked_at_held_and_called_back(
    redis: Redis, redis_url: str, template: str, entries: str
) -> None:
    env = environment(RQ_SES_REDIS_URL=redis_url)

    def done(*arguments: str) -> Any:
        found = run(["campaign", *arguments, "--json"], env)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    told = done("send", "--template", template, "--entries", entries)
    assert told == {"campaign": "spring", "enqueued": COUNT, "duplicates": 0, "bad": 0, "unused": []}
    assert sent(redis) == everybody()
    assert done("status", "spring")["waiting"] == COUNT
    assert done("list")["name"] == "spring"
    assert done("pause", "spring")["state"] == "paused"
    assert done("resume", "spring")["state"] == "sending"
    assert done("cancel", "spring")["canceled"] == COUNT
    shown = run(["campaign", "status", "spring"], env)
    assert "canceled          6,000" in shown.stdout
    for arguments, code in ((["resume", "spring"], 1), (["status", "none"], 1), (["status", "a/b"], 2)):
        assert run(["campaign", *arguments], env).returncode == code
    away = run(["campaign", "status", "spring"], environment(RQ_SES_REDIS_URL="redis://127.0.0.1:1"))
    assert away.returncode == 4


def test_bad_lines_are_told_before_anything_is_enqueued_or_passed_over(
    redis: Redis, redis_url: str, template: str, tmp_path: Path
) -> None:
    env = environment(RQ_SES_REDIS_URL=redis_url)
    path = tmp_path / "bad.jsonl"
    good = '{"to": "a@b.example", "data": {"name": "A", "city": "W"}}\n'
    path.write_text(f'{good}{{"to": "b@b.example"}}\nx\n')
    command = ["campaign", "send", "--template", template, "--entries"]
    refused = run([*command, str(path)], env)
    assert (refused.returncode, sent(redis)) == (1, Counter())
    assert "line 2: data: has nothing for {{name}}" in refused.stderr
    assert "2 lines are bad: nothing was enqueued" in refused.stderr
    passed = run([*command, str(path), "--skip-bad"], env)
    assert (passed.returncode, sent(redis)) == (1, Counter(["a@b.example"]))
    assert "warning: the data have city" in passed.stderr
    piped = run([*command, "-"], env, stdin=path.read_text())
    assert piped.returncode == 1
    assert "run the same command again" in piped.stderr
    headless = run([*command, "-", "--format", "csv"], env, stdin="a@b.example,A\n")
    assert headless.returncode == 2
    assert "names no column `to`" in headless.stderr


def test_a_mail_is_shown_as_ses_fills_it_in(template: str) -> None:
    data = '{"name": "Ann & Bob"}'
    shown = run(["campaign", "preview", "--template", template, "--data", data], environment())
    assert shown.stdout == (
        "From: Shop <shop@example.com>\nTo: reader@example.com\nSubject: For Ann & Bob\n\n"
        "Dear Ann & Bob\n\n<p>Dear Ann &amp; Bob\n"
    )
    lacking = run(["campaign", "preview", "--template", template, "--data", "{}"], environment())
    assert (lacking.returncode, "has nothing for {{name}}" in lacking.stderr) == (1, True)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 1)], ids=["kill", "ctrl-c"]
)
def test_a_command_that_is_ended_goes_on_when_it_is_run_again(
    redis: Redis, redis_url: str, template: str, entries: str, number: signal.Signals, code: int
) -> None:
    process = begun(redis_url, template)
    process.send_signal(number)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert code < 0 or "run the same command again: what is enqueued already is not" in told
    again = run(
        ["campaign", "send", "--template", template, "--entries", entries, "--json"],
        environment(RQ_SES_REDIS_URL=redis_url),
    )
    found = json.loads(again.stdout)
    assert found["enqueued"] + found["duplicates"] == COUNT
    assert found["duplicates"] >= 1000
    assert sent(redis) == everybody()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DurableValkey]:
    with DurableValkey(tmp_path / "data") as found:
        yield found


def test_a_server_that_is_killed_and_comes_back_meanwhile_takes_each_entry_once(
    server: DurableValkey, template: str
) -> None:
    process = begun(server.url, template)
    server.kill()
    assert process.stdin
    writing = threading.Thread(target=process.stdin.write, args=(lines(COUNT // 2, COUNT),))
    writing.start()
    server.start()
    writing.join(PATIENCE)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    assert f"campaign spring: {COUNT:,} enqueued" in told
    with server.client() as redis:
        assert sent(redis) == everybody()
