"""`rq-ses send` as people and scripts use it: the real command, a real Valkey."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis
from rq import Queue
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer

from rq_ses import Attachment, Outbox, contract
from rq_ses.cli import main
from rq_ses_worker.lifecycle.task import Task, read_job
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.programs.processes import PATIENCE, environment, run
from support.programs.terminal import run_on_terminal
from support.servers.valkey import url, valkey
from support.waiting import wait_for

MAIL = ("--from", "Shop <shop@example.com>", "--to", "anna@example.com", "--subject", "Hi", "--text", "Hello")
COMMAND = (sys.executable, "-m", "rq_ses", "send")
AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return environment(RQ_SES_REDIS_URL=redis_url)


def task(redis: Redis, job_id: str) -> Task:
    """What a worker would make of the job."""
    return read_job(redis.hget(contract.JOB_PREFIX + job_id, "data"))


def row(to: str = "anna@example.com", **fields: Any) -> str:
    return json.dumps({"sender": "shop@example.com", "to": [to], "subject": "Hi", "text": "Hello", **fields})


def sent(
    lines: bytes | str, env: dict[str, str], *options: str, command: tuple[str, ...] = COMMAND
) -> subprocess.CompletedProcess[bytes]:
    """Give lines to `rq-ses send --jsonl -` through a pipe, which can't be read twice."""
    return subprocess.run(
        [*command, "--jsonl", "-", *options],
        env=env, input=lines.encode() if isinstance(lines, str) else lines, capture_output=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def jobs(redis: Redis) -> int:
    return len(redis.keys(f"{contract.JOB_PREFIX}*"))


# One mail


def test_every_flag_reaches_the_message(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bill.pdf").write_bytes(b"%PDF-\x00\xff")
    (tmp_path / "data.tar.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    (tmp_path / "body.txt").write_text("\ufeffGrüße\n", "utf-8")
    (tmp_path / "body.html").write_text("<p>Grüße</p>\n", "utf-8")
    done = run(
        [
            "send", "--from", "Shop <shop@example.com>", "--to", "anna@example.com", "--to", "b@example.com",
            "--cc", "c@example.com", "--bcc", "d@example.com", "--bcc", "e@example.com",
            "--reply-to", "Help <help@example.com>", "--subject", "Grüße",
            "--text-file", str(tmp_path / "body.txt"), "--html-file", str(tmp_path / "body.html"),
            "--header", "X-Order: 47:11", "--header", "X-Empty-Not:   a  ", "--tag", "shop=north",
            "--tag", "kind=bill", "--configuration-set", "transactional",
            "--attach", str(tmp_path / "bill.pdf"), "--attach", str(tmp_path / "data.tar.gz"),
            "--attach", str(tmp_path / "rows.xlsx"),
        ],
        env,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"[0-9a-f]{32}\n", done.stdout)
    found = task(redis, done.stdout.strip())
    assert found.expires is None
    assert found.message == mail(
        to="anna@example.com",
    ).model_copy(
        update={
            "to": ("anna@example.com", "b@example.com"),
            "cc": ("c@example.com",),
            "bcc": ("d@example.com", "e@example.com"),
            "reply_to": ("Help <help@example.com>",),
            "subject": "Grüße",
            "text": "Grüße\n",
            "html": "<p>Grüße</p>\n",
            "headers": {"X-Order": "47:11", "X-Empty-Not": "a"},
            "tags": {"shop": "north", "kind": "bill"},
            "configuration_set": "transactional",
            "attachments": (
                Attachment(filename="bill.pdf", content_type="application/pdf", content=b"%PDF-\x00\xff"),
                Attachment(
                    filename="data.tar.gz", content_type="application/octet-stream", content=b"\x1f\x8b"
                ),
                Attachment(
                    filename="rows.xlsx",
                    content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                    content=b"PK",
                ),
            ),
        }
    )


def test_a_mail_from_the_command_line_reaches_ses(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    attached = tmp_path / "Rechnung für Anna.txt"
    attached.write_bytes(b"1 \xe2\x82\xac")
    done = run(["send", *MAIL, "--html", "<b>Hé</b>", "--attach", str(attached)], worker_env)
    assert done.returncode == 0
    assert run(["worker", "--burst"], worker_env).returncode == 0
    [accepted] = ses.mails
    simple = accepted.request["Content"]["Simple"]
    assert accepted.request["FromEmailAddress"] == "Shop <shop@example.com>"
    assert accepted.request["Destination"] == {"ToAddresses": ["anna@example.com"]}
    assert simple["Subject"] == {"Data": "Hi"}
    assert simple["Body"] == {
        "Text": {"Data": "Hello"},
        "Html": {"Data": "<b>Hé</b>", "Charset": "UTF-8"},
    }
    assert simple["Attachments"][0]["RawContent"] == "MSDigqw="
    assert fetch(redis, done.stdout.strip()).return_value() == {"message_id": accepted.message_id}


def test_a_local_part_in_quotes_reaches_ses_and_is_shown(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    address = '"abc..def"@docomo.example'
    named = 'Anna <"anna b"@x.example>'
    done = run(["send", *MAIL, "--to", address, "--cc", named, "--reply-to", address], worker_env)
    assert done.returncode == 0, done.stderr
    assert run(["worker", "--burst"], worker_env).returncode == 0
    [accepted] = ses.mails
    assert accepted.recipients == ("anna@example.com", address, '"anna b"@x.example')
    assert (accepted.letter.to[1], accepted.letter.cc, accepted.letter.reply_to) == (
        address,
        (named,),
        (address,),
    )
    assert fetch(redis, done.stdout.strip()).description == "anna@example.com (+2) → Hi"


def test_the_body_may_come_from_standard_input(redis: Redis, env: dict[str, str]) -> None:
    done = run(["send", *MAIL[:-2], "--text-file", "-"], env, stdin="from a pipe\n")
    assert task(redis, done.stdout.strip()).message.text == "from a pipe\n"


@pytest.mark.parametrize(
    ("options", "seconds"),
    [(["--delay", "60"], 60), (["--at", "{moment}"], 3600), (["--at", "{naive}"], 3600)],
)
def test_at_and_delay_say_when_a_mail_is_sent_at_the_earliest(
    redis: Redis, env: dict[str, str], options: list[str], seconds: int
) -> None:
    now = datetime.now(UTC)
    moment = now + timedelta(hours=1)
    written = {
        "moment": moment.isoformat(),
        "naive": moment.astimezone().replace(tzinfo=None).isoformat(timespec="seconds"),
    }
    done = run(["send", *MAIL, *(option.format(**written) for option in options)], env)
    job_id = done.stdout.strip()
    assert status(redis, job_id) == "scheduled"
    due = redis.zscore(ScheduledJobRegistry("mail", connection=redis).key, job_id)
    assert now.timestamp() + seconds - 1 <= due <= time.time() + seconds


def test_expires_is_seconds_or_a_moment(redis: Redis, env: dict[str, str]) -> None:
    before = time.time()
    done = run(["send", *MAIL, "--expires", "60.5"], env)
    assert before + 60.5 <= task(redis, done.stdout.strip()).expires <= time.time() + 60.5
    done = run(["send", *MAIL, "--expires", "2099-01-01T00:00:00+01:00"], env)
    expires = task(redis, done.stdout.strip()).expires
    assert expires == datetime(2098, 12, 31, 23, tzinfo=UTC).timestamp()


def test_the_same_key_and_mail_are_enqueued_once_and_give_the_same_id(
    redis: Redis, env: dict[str, str]
) -> None:
    first, again = (run(["send", *MAIL, "--key", "order-1"], env) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr == "already enqueued under this key\n"
    assert jobs(redis) == 1
    other = run(["send", *MAIL, "--cc", "c@example.com", "--key", "order-1"], env)
    assert (other.returncode, other.stdout) == (1, "")
    assert "key 'order-1' already stands for another message" in other.stderr
    assert jobs(redis) == 1


def test_queue_and_redis_url_are_options_too(redis: Redis, redis_url: str) -> None:
    env = environment(RQ_SES_REDIS_URL=AWAY, RQ_SES_QUEUE="elsewhere")
    done = run(["send", *MAIL, "--redis-url", redis_url, "--queue", "news"], env)
    queue = Queue("news", connection=redis, serializer=JSONSerializer)
    assert queue.get_job_ids() == [done.stdout.strip()]


BAD_FLAGS = {
    "an address that is none": (["--to", "nobody"], "--to: 'nobody' is not an e-mail address: write "),
    "no sender": (["--from", ""], "--from: '' is not an e-mail address: write"),
    "a line break in the subject": (["--subject", "a\nBcc: x@example.com"], "--subject: 'a\\nBcc: x@exam"),
    "a header without colon": (["--header", "X-A"], "--header: 'X-A' has no ':': write 'Name: value'"),
    "a header's name": (["--header", "X A: b"], "'X A' is not a header's name: use 1-126 printable"),
    "a header twice": (["--header", "A: 1", "--header", "A: 2"], "--header: 'A' was given twice: give it o"),
    "a tag without sign": (["--tag", "a"], "--tag: 'a' has no '=': write name=value"),
    "a tag's value": (["--tag", "a=b c"], "--tag a: 'b c' cannot stand in a tag: use 1-256 ASCII letters"),
    "a tag twice": (["--tag", "a=1", "--tag", "a=2"], "--tag: 'a' was given twice: give it once"),
    "no such attachment": (["--attach", "/no/such"], "'--attach': File '/no/such' does not exist"),
    "an attachment without end": (["--attach", "/dev/zero"], "--attach: '/dev/zero' is larger than any mail"),
    "two texts": (["--text-file", "/dev/null"], "--text and --text-file: both were given: give one of them"),
    "no time": (["--at", "tomorrow"], "'--at': 'tomorrow' is no date and time: write 2026-05-31T09:00:00+02"),
    "a time before time": (["--at", "0001-01-01"], "'--at': '0001-01-01' is no date and time: write 2026-"),
    "at and delay": (["--at", "2099-01-01", "--delay", "1"], "--at and --delay: both were given: give one"),
    "a delay below zero": (["--delay", "-1"], "'--delay': -1.0 is not in the range"),
    "a delay for ever": (["--delay", "1e300"], "'--delay': 1e+300 is not in the range"),
    "a delay that is none": (["--delay", "nan"], "--delay: nan is out of range: give 0 to 315360000 seconds"),
    "expired before": (["--expires", "2020-01-01T00:00:00Z"], "--expires: 2020-01-01T00:00:00+00:00 is past"),
    "a date that is a number": (
        ["--expires", "20260601"],
        "'20260601' is a date as well as seconds: write 2026-06-01, or 20260601.0",
    ),
    "expires below zero": (
        ["--expires", "-1"],
        "--expires: -1.0 is out of range: give 0 to 315360000 seconds",
    ),
    "an empty key": (["--key", ""], "--key: '' can't be used: give a text of 1 to 512 characters"),
    "a key of bytes": (["--key", "\udcff"], "--key: '\\udcff' is not Unicode text: write it in UTF-8"),
    "strict alone": (["--strict"], "--strict goes with --jsonl"),
    "jsonl and flags": (["--jsonl", "-"], "--jsonl takes no other mail: drop --from"),
    "an argument": (["stray"], "unexpected extra argument (stray)"),
}


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_a_bad_command_line_is_refused_with_field_value_and_remedy(
    redis: Redis, env: dict[str, str], case: str
) -> None:
    options, problem = BAD_FLAGS[case]
    done = CliRunner().invoke(main, ["send", *MAIL, *options], env=env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in done.stderr
    assert jobs(redis) == 0


def test_all_that_is_wrong_with_a_mail_is_said_at_once(redis: Redis, env: dict[str, str]) -> None:
    done = run(["send", "--from", "a@example.com", "--to", "x", "--cc", "y", "--tag", "a b=c"], env)
    assert done.returncode == 2
    for problem in ("--to: 'x' is ", "--cc: 'y' is ", "--subject: is missing: give it", "'a b' cannot stand"):
        assert problem in done.stderr
    assert jobs(redis) == 0


def test_a_body_that_is_not_utf_8_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("Grüße".encode("latin-1"))
    done = run(["send", *MAIL[:-2], "--text-file", str(tmp_path / "latin")], env)
    assert done.returncode == 2
    assert f"--text-file: byte 3 of '{tmp_path}/latin' is not UTF-8: convert it" in done.stderr


@pytest.mark.parametrize("source", ["flags", "lines"])
def test_without_redis_nothing_is_enqueued_and_the_exit_code_says_so(source: str) -> None:
    env = environment(RQ_SES_REDIS_URL=AWAY, RQ_SES_ENQUEUE_TIMEOUT="0.3")
    done = run(["send", *MAIL], env) if source == "flags" else run(["send", "--jsonl", "-"], env, stdin=row())
    assert (done.returncode, done.stdout) == (4, "")
    assert "Redis did not take 1 message within 0." in done.stderr
    assert "ConnectionError" in done.stderr
    assert "check RQ_SES_REDIS_URL and the server, then send again" in done.stderr
    if source == "lines":
        assert done.stderr.startswith("Error: lines 1 to 1: ")
        assert done.stderr.endswith("0 enqueued, 0 not before that\n")


def test_bad_settings_are_all_named_and_their_passwords_masked() -> None:
    env = environment(
        RQ_SES_REDIS_URL="http://user:hunter2@example.com/0", RQ_SES_QUEUE="a b", RQ_SES_RESULT_TTL="soon"
    )
    done = run(["send", *MAIL], env)
    assert (done.returncode, done.stdout) == (3, "")
    for name in ("RQ_SES_REDIS_URL", "RQ_SES_QUEUE", "RQ_SES_RESULT_TTL"):
        assert f"Error: {name}: " in done.stderr
    assert "hunter2" not in done.stderr
    assert run(["send", *MAIL, "--redis-url", "http://:hunter2@x"], env).stderr.count("hunter2") == 0


# Lines


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
            pipeline.hget(contract.JOB_PREFIX + job_id, "description")
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


# Output that breaks, and Ctrl-C


def piped(command: str, arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `rq-ses send` in the place of "$@" of a shell's command; its exit code stands last on stderr."""
    return subprocess.run(
        ["sh", "-c", command, "sh", *COMMAND, *arguments],
        env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ('{ "$@"; echo "code $?" >&2; } | head -n 1', "Broken pipe"),
        ('"$@" >/dev/full; echo "code $?" >&2', "No space left on device"),
    ],
)
def test_ids_that_nobody_can_read_change_nothing_about_what_is_enqueued(
    redis: Redis, env: dict[str, str], tmp_path: Path, command: str, reason: str
) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text(f"{row()}\n" * 3000)
    done = piped(command, ["--jsonl", str(file)], env)
    assert done.stderr.splitlines() == [
        f"Error: standard output can't be written ({reason}): going on without it",
        "3000 enqueued, 0 not",
        "code 1",
    ]
    assert redis.llen("rq:queue:mail") == 3000
    assert re.fullmatch(r"([0-9a-f]{32}\n)?", done.stdout)


def test_reports_that_nobody_can_read_change_nothing_about_what_is_enqueued(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text(f"{row()}\nnonsense\n" * 1200)
    done = piped('"$@" 2>/dev/full; echo "code $?" >&2', ["--jsonl", str(file)], env)
    assert done.stderr == "code 1\n"
    assert len(done.stdout.split()) == redis.llen("rq:queue:mail") == 1200


def test_one_mail_whose_id_cannot_be_written_is_told_as_enqueued(redis: Redis, env: dict[str, str]) -> None:
    done = piped('"$@" >/dev/full', [*MAIL], env)
    [job_id] = (key.decode() for key in redis.lrange("rq:queue:mail", 0, -1))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: standard output can't be written (No space left on device): going on without it",
        f"enqueued as job {job_id}",
    ]


def interruptible(command: list[str], env: dict[str, str], stdout: Any) -> subprocess.Popen[bytes]:
    # However this run was started: from a script's background SIGINT is ignored, and children inherit that.
    return subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def test_an_interrupt_says_what_was_enqueued_and_where_to_go_on(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    with (
        (tmp_path / "ids").open("wb") as ids,
        interruptible([*COMMAND, "--jsonl", "-"], env, ids) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(f"{row()}\n".encode() * 600 + b"nonsense\n")
        process.stdin.flush()
        wait_for(lambda: redis.llen("rq:queue:mail") == 500, within=PATIENCE)
        wait_for(lambda: (tmp_path / "ids").stat().st_size == 500 * 33)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert stderr.decode().splitlines() == ["500 enqueued, 0 not", "interrupted: go on at line 501"]
    assert redis.llen("rq:queue:mail") == 500


def test_an_interrupt_while_redis_hangs_is_told_with_the_lines_in_doubt(
    env: dict[str, str], tmp_path: Path
) -> None:
    with valkey(tmp_path) as server:
        env = {**env, "RQ_SES_REDIS_URL": url(server), "RQ_SES_ENQUEUE_TIMEOUT": "600"}
        server._process.send_signal(signal.SIGSTOP)
        try:
            with interruptible([*COMMAND, "--jsonl", "-"], env, subprocess.PIPE) as process:
                assert process.stdin is not None
                process.stdin.write(f"{row()}\n".encode() * 3)
                process.stdin.close()
                process.stdin = None
                wait_for(lambda: connected(process.pid, server.port), within=PATIENCE)
                # The first is held until the batch is counted, the next one isn't.
                process.send_signal(signal.SIGINT)
                wait_for(lambda: interrupted(process), within=PATIENCE)
                _, stderr = process.communicate(timeout=PATIENCE)
        finally:
            server._process.send_signal(signal.SIGCONT)
    assert process.returncode == 1
    assert stderr.decode().splitlines()[-2:] == [
        "0 enqueued, 0 not; lines 1 to 3 may be enqueued or not",
        "interrupted: go on at line 1",
    ]


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_a_file_that_breaks_off_is_told_with_what_was_done(env: dict[str, str], strict: list[str]) -> None:
    done = run(["send", "--jsonl", "/proc/self/mem", *strict], env)
    assert (done.returncode, done.stdout) == (1, "")
    why = "Error: the lines can't be read any more (Input/output error)"
    ended = f"{why}: nothing was sent\n" if strict else f"0 enqueued, 0 not\n{why}: go on at line 1\n"
    assert done.stderr == ended


def connected(pid: int, port: int) -> bool:
    found = subprocess.run(["cat", f"/proc/{pid}/net/tcp"], capture_output=True, text=True, check=True).stdout
    return any(
        line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01"
        for line in found.splitlines()[1:]
    )


def interrupted(process: subprocess.Popen[bytes]) -> bool:
    """Interrupt it, and see whether it ends: two signals in one moment are one to Python."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        return False
    return True


# Terms that can't be meant


@pytest.mark.parametrize(
    ("option", "moment", "readings"),
    [
        ("--at", "2027-03-28T02:30", ("2027-03-28T01:30:00+01:00", "2027-03-28T03:30:00+02:00")),
        ("--at", "2027-10-31T02:30", ("2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00")),
        ("--expires", "2027-03-28T02:30", ("2027-03-28T01:30:00+01:00", "2027-03-28T03:30:00+02:00")),
    ],
)
def test_a_local_time_that_is_none_or_two_is_refused_with_both(
    redis: Redis, env: dict[str, str], option: str, moment: str, readings: tuple[str, str]
) -> None:
    done = run(["send", *MAIL, option, moment], {**env, "TZ": "Europe/Berlin"})
    assert done.returncode == 2
    assert all(reading in done.stderr for reading in readings)
    assert jobs(redis) == 0
    done = run(["send", *MAIL, option, readings[0]], {**env, "TZ": "Europe/Berlin"})
    assert (done.returncode, jobs(redis)) == (0, 1)


def test_a_local_time_is_told_with_its_offset(env: dict[str, str]) -> None:
    terms = ["--at", "2030-01-01T09:00", "--expires", "2030-07-01T09:00"]
    done = run(["send", *MAIL, *terms], {**env, "TZ": "Europe/Berlin"})
    assert done.stderr == "not before 2030-01-01T09:00:00+01:00\nexpires 2030-07-01T09:00:00+02:00\n"


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_a_mail_that_would_expire_before_it_is_due_is_refused(
    redis: Redis, env: dict[str, str], strict: list[str]
) -> None:
    done = run(["send", *MAIL, "--delay", "3600", "--expires", "60"], env)
    assert done.returncode == 2
    assert re.search(r"--expires: \S+ is not after \S+, when it is due \(delay\)", done.stderr)
    lines = sent(row(at="2090-01-01T00:00:00Z", expires=60), env, *strict)
    assert lines.returncode == 1
    assert lines.stderr.startswith(b"line 1: expires: ")
    assert b"2090-01-01T00:00:00+00:00, when it is due (at)" in lines.stderr
    assert jobs(redis) == 0


def test_a_mail_under_a_key_of_another_may_be_kept(redis: Redis, env: dict[str, str]) -> None:
    first = run(["send", *MAIL, "--key", "k"], env)
    kept = run(["send", *MAIL, "--cc", "c@example.com", "--key", "k", "--on-conflict", "keep"], env)
    assert (kept.returncode, kept.stdout) == (0, first.stdout)
    assert kept.stderr == "another mail is enqueued under this key and kept; this one is not sent\n"
    lines = f"{row(key='k')}\n{row()}\n"
    for options in ([], ["--strict"]):
        done = sent(lines, env, "--on-conflict", "keep", *options)
        assert done.returncode == 0
        assert done.stdout.decode().split()[0] == first.stdout.strip()
        assert done.stderr.decode().splitlines() == [
            "line 1: key 'k' stands for another message, which is kept",
            "2 enqueued (1 of them earlier, under their keys), 0 not",
        ]
    assert jobs(redis) == 3


# The progress bar


def test_the_progress_bar_stands_on_the_terminal_and_the_ids_on_stdout(
    redis: Redis, env: dict[str, str], tmp_path: Path
) -> None:
    file, ids = tmp_path / "mails.jsonl", tmp_path / "ids"
    file.write_text(f"{row()}\n" * 2000 + "nonsense\n")
    with ids.open("wb") as stdout:
        code, shown = run_on_terminal([*COMMAND, "--jsonl", str(file)], env, stdout=stdout)
    assert code == 1
    queued = Queue("mail", connection=redis, serializer=JSONSerializer).get_job_ids()
    assert ids.read_bytes() == "".join(f"{job_id}\n" for job_id in queued).encode()
    assert len(queued) == 2000
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "enqueueing" in plain
    assert "━" in plain
    assert re.search(r"\d+% \d+ lines", plain)
    assert "line 2001: not JSON" in plain
    assert plain.rstrip().endswith("2000 enqueued, 1 not")
    assert not re.search(r"[0-9a-f]{32}", plain)


def test_on_a_terminal_alone_neither_ids_nor_reports_tear_the_bar(
    env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "mails.jsonl"
    file.write_text(f"{row()}\nnonsense\n" * 20)
    code, shown = run_on_terminal([*COMMAND, "--jsonl", str(file)], env)
    assert code == 1
    # The bar's line is erased before anything is written in its place.
    lines = [line.rpartition("\x1b[2K")[2] for line in shown.split("\r\n")]
    assert sum(re.fullmatch(r"[0-9a-f]{32}", line) is not None for line in lines) == 20
    assert sum(line.startswith("line ") for line in lines) == 20


def test_no_bar_is_drawn_where_stderr_is_no_terminal(env: dict[str, str]) -> None:
    done = sent(f"{row()}\n" * 1000, {**env, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"})
    assert done.stderr == b"1000 enqueued, 0 not\n"
    assert b"\x1b" not in done.stdout


# Memory

ROOM = 96 * 1024 * 1024
"""Bytes of address space beyond which a process of ours may not grow from the start of its input on."""

BOUNDED = (
    sys.executable,
    "-c",
    "import resource, sys; from rq_ses.cli import main, send; "
    "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
    f"resource.setrlimit(resource.RLIMIT_AS, (used + {ROOM},) * 2); "
    "main()",
    "send",
)


@pytest.mark.parametrize("options", [[], ["--strict"]])
def test_a_file_is_not_held_in_memory(
    redis: Redis, env: dict[str, str], tmp_path: Path, options: list[str]
) -> None:
    """Three times the room: 1000 mails with 300 KB of text each."""
    line = f"{row(text='Hello ' * 50_000)}\n".encode()
    command = [*BOUNDED, *options, "--jsonl", "-"]
    with (
        (tmp_path / "ids").open("wb") as ids,
        subprocess.Popen(
            command, env={**env, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE, stdout=ids
        ) as process,
    ):
        assert process.stdin
        for _ in range(1000):
            process.stdin.write(line)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert len(set((tmp_path / "ids").read_text().split())) == 1000


def test_a_line_without_end_is_reported_and_the_next_one_sent(env: dict[str, str]) -> None:
    with subprocess.Popen(
        [*COMMAND, "--jsonl", "-"], env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for _ in range(140):
            process.stdin.write(b"x" * 1024 * 1024)
        process.stdin.write(f"\n{row()}".encode())
        process.stdin.close()
        assert len(process.stdout.read().split()) == 1
        assert process.stderr.read().startswith(b"line 1: longer than 134217728 bytes")
    assert process.returncode == 1


def test_the_settings_file_says_where_mails_go_too(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[endpoints.transport]\ntype = "ses"\n[endpoints.transport.settings]\n'
        'secret_access_key = "${env.NOT_SET_HERE}"\n[rq_ses]\nqueue = "other"\nconcurrency = 4\n'
    )
    flags = ["--from", "a@example.com", "--to", "b@example.com", "--subject", "s", "--text", "t"]
    for arguments, variables in ((["--config", str(file)], {}), ([], {"RQ_SES_CONFIG": str(file)})):
        result = run(["send", *flags, *arguments], {**env, **variables})
        assert result.returncode == 0, result.stderr
    assert redis.llen("rq:queue:other") == 2
