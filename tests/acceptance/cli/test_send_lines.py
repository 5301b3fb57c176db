"""`rq-ses send --jsonl`: a message a line, the bad ones told by their number."""

from __future__ import annotations

import os
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from rq_ses import Outbox
from support.mails.keys import KEYS
from support.mails.mail import mail, status
from support.programs.processes import PATIENCE, environment, run
from support.programs.send_command import COMMAND, jobs, row, sent, task

AWAY = "redis://127.0.0.1:1/0"


def test_thousands_of_lines_give_as_many_ids_in_their_order(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    count = 3217
    file = tmp_path / "mails.jsonl"
    file.write_text("".join(f"{row(f'user{n}@example.com')}\n" for n in range(count)))
    done = run(["send", "--jsonl", str(file)], env)
    assert (done.returncode, done.stderr) == (0, f"{count} enqueued, 0 not\n")
    ids = done.stdout.splitlines()
    assert ids == Queue("mail", connection=redis, serializer=JSONSerializer).get_job_ids()
    with redis.pipeline() as pipeline:
        for job_id in ids:
            pipeline.hget(KEYS.job(job_id), "description")
        shown = [description.decode() for description in pipeline.execute()]
    assert shown == [f"user{n}@example.com → Hi" for n in range(count)]


def test_a_line_may_have_key_at_delay_and_expires(redis: Redis, env: dict[str, str]) -> None:
    lines = [
        row(key="k", delay=60),
        row(at="2099-01-01T00:00:00Z"),
        row(expires=60),
        row(expires="2099-01-01T00:00:00+00:00", cc="c@example.com"),
        row(key="k", delay=60),
    ]
    done = sent("\ufeff" + "\n".join(lines), env)
    assert (done.returncode, done.stderr) == (0, b"5 enqueued (1 of them earlier, under their keys), 0 not\n")
    first, at, expiring, until, again = done.stdout.decode().split()
    assert first == again
    assert [status(redis, job_id) for job_id in (first, at, expiring)] == ["scheduled", "scheduled", "queued"]
    assert task(redis, expiring).expires == pytest.approx(time.time() + 60, abs=PATIENCE)
    assert task(redis, until).expires == datetime(2099, 1, 1, tzinfo=UTC).timestamp()
    assert task(redis, until).message.cc == ("c@example.com",)


BAD_LINES: dict[str, tuple[str | bytes, str]] = {
    "not JSON": (
        "{'sender': 1}",
        "not JSON: Expecting property name enclosed in double quotes (character 2)",
    ),
    "half a line": (row()[:-1], "not JSON: Expecting ',' delimiter"),
    "an array": ("[]", "not a JSON object: write one Message a line"),
    "a string": ('"hello"', "not a JSON object: write one Message a line"),
    "null": ("null", "not a JSON object"),
    "nested too deep": ("[" * 200_000, "not JSON: nested too deep"),
    "not UTF-8": (b'{"subject": "\xff"}', "not JSON: byte 14 is not UTF-8"),
    "a lone surrogate": (row(subject="\ud800"), "subject: "),
    "an invalid message": (row("nobody"), "to[0]: 'nobody' is not an e-mail address: write "),
    "several problems": (row("nobody", subject="a\nb"), "; subject: 'a\\nb' holds a line break"),
    "an unknown field": (
        row(recipient="x"),
        "recipient: is not a field: did you mean to?",
    ),
    "at and delay": (row(at="2099-01-01T00:00:00Z", delay=1), "at and delay: both were given: give one of"),
    "expired before": (
        row(expires="2020-01-01T00:00:00Z"),
        "expires: 2020-01-01T00:00:00+00:00 is past: it is ",
    ),
    "expires below zero": (row(expires=-1), "expires: -1 is out of range: give 0 to 315360000 seconds"),
    "expires never": (row(expires=10**400), "expires: a huge number is out of range: give 0 to 315360000 s"),
    "expires is NaN": (
        row(expires=float("nan")),
        "expires: nan is out of range: give 0 to 315360000 seconds",
    ),
    "expires is true": (row(expires=True), "expires: True is no date and time: write 2026-05-31T09:00:00+02"),
    "at is a number": (row(at=60), "at: 60 is no date and time: write 2026-05-31T09:00:00+02:00"),
    "at without offset": (
        row(at="2099-01-01T00:00:00"),
        "has no offset from UTC: write 2026-05-31T09:00:00+",
    ),
    "delay below zero": (row(delay=-1), "delay: -1 cannot be used: "),
    "delay is text": (row(delay="soon"), "delay: 'soon' cannot be used: "),
    "delay is true": (row(delay=True), "delay: True cannot be used: "),
    "delay for ever": (row(delay=float("inf")), "delay: inf cannot be used: "),
    "key is empty": (row(key=""), "key: '' cannot be used: "),
    "key is a number": (row(key=7), "key: 7 is not a string: give text"),
    "key is too long": (row(key="k" * 513), "key: "),
    "a key of another mail": (row(key="taken"), "key 'taken' already stands for another message (job "),
}


def test_bad_lines_are_reported_by_number_and_the_rest_is_sent(redis: Redis, redis_url: str) -> None:
    Outbox(redis_url).send(mail("other@example.com"), key="taken")
    lines, expected = [], {}
    for bad, problem in BAD_LINES.values():
        lines += [row(), "", "  \t\r", bad]
        expected[len(lines)] = problem
    data = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    done = sent(data, environment(RQ_SES_REDIS_URL=redis_url))
    assert done.returncode == 1
    *reports, summary = done.stderr.decode().splitlines()
    found = dict(re.fullmatch(r"line (\d+): (.*)", report).groups() for report in reports)
    assert found.keys() == {str(number) for number in expected}
    for number, problem in expected.items():
        assert problem in found[str(number)]
        assert len(found[str(number)]) < 1000
    assert summary == f"{len(BAD_LINES)} enqueued, {len(BAD_LINES)} not"
    ids = done.stdout.decode().split("\n")
    assert ids.pop() == ""
    assert len(set(ids)) == len(BAD_LINES)
    assert {status(redis, job_id) for job_id in ids} == {"queued"}


@pytest.mark.parametrize(
    "case",
    [
        "not JSON",
        "not UTF-8",
        "an invalid message",
        "at and delay",
        "expired before",
        "a key of another mail",
    ],
)
def test_strict_sends_nothing_if_any_line_is_bad(
    redis: Redis, redis_url: str, env: dict[str, str], case: str
) -> None:
    Outbox(redis_url).send(mail("other@example.com"), key="taken")
    bad, problem = BAD_LINES[case]
    lines = [*[row()] * 3, bad, row()]
    data = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    done = sent(data, env, "--strict")
    assert (done.returncode, done.stdout) == (1, b"")
    report, summary = done.stderr.decode().splitlines()
    assert report.startswith("line 4: ")
    assert problem in report
    assert summary == "1 line is bad: nothing was sent"
    assert jobs(redis) == 1


def test_strict_knows_two_messages_under_one_key_of_the_same_file(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "mails.jsonl"
    others = [row(f"user{n}@example.com", key=f"key-{n}") for n in range(700)]
    file.write_text("\n".join([row(key="k"), *others, row(key="k"), row("b@example.com", key="k"), "{}"]))
    done = run(["send", "--strict", "--jsonl", str(file)], env)
    assert (done.returncode, done.stdout) == (1, "")
    *first, summary = done.stderr.splitlines()
    assert "line 703: key 'k' stands for another message on line 1" in first
    assert summary == "2 lines are bad: nothing was sent"
    assert jobs(redis) == 0


@pytest.mark.parametrize("source", ["file", "pipe", "redirected"])
def test_strict_sends_all_if_every_line_is_good(
    redis: Redis, env: dict[str, str], tmp_path: Path, source: str
) -> None:
    lines = "".join(f"{row(f'user{n}@example.com')}\n\n" for n in range(1203))
    file = tmp_path / "mails.jsonl"
    file.write_text(lines)
    if source == "pipe":
        done = sent(lines, env, "--strict")
    else:
        with file.open("rb") as opened:
            # A shell that has read the first lines itself leaves us the rest.
            os.lseek(opened.fileno(), len(f"{row('user0@example.com')}\n\n"), os.SEEK_SET)
            done = subprocess.run(
                [*COMMAND, "--strict", "--jsonl", str(file) if source == "file" else "-"],
                env=env, stdin=opened, capture_output=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
    count = 1202 if source == "redirected" else 1203
    assert (done.returncode, done.stderr) == (0, f"{count} enqueued, 0 not\n".encode())
    queued = Queue("mail", connection=redis, serializer=JSONSerializer).get_job_ids()
    assert done.stdout.decode().split() == queued
    assert len(queued) == count


def test_strict_without_redis_sends_nothing(tmp_path: Path) -> None:
    env = environment(RQ_SES_REDIS_URL=AWAY, RQ_SES_ENQUEUE_TIMEOUT="0.3")
    done = sent(row(key="k"), env, "--strict")
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"Redis did not tell which keys it knows (ConnectionError" in done.stderr
    assert b"nothing was sent" in done.stderr


@pytest.mark.parametrize(("name", "reason"), [("/no/such", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_a_usage_error(env: dict[str, str], name: str, reason: str) -> None:
    done = run(["send", "--jsonl", name], env)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--jsonl: {name!r} can't be read: {reason}" in done.stderr


def test_closed_standard_input_is_a_usage_error(env: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "--jsonl", "-"],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "standard input is closed: give a file" in done.stderr


def test_an_empty_file_is_no_error(redis: Redis, env: dict[str, str]) -> None:
    done = sent(b"\n \n", env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"0 enqueued, 0 not\n")
