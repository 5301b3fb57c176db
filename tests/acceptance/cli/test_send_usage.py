"""What `rq-ses send` refuses: with the option, its value and the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from rq_ses.cli import main
from support.programs.processes import environment, run
from support.programs.send_command import MAIL, jobs, row, sent

AWAY = "redis://127.0.0.1:1/0"


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
    "a link that is none": (["--unsubscribe", "http://x"], "--unsubscribe: is no https link of printable"),
    "a topic of no list": (["--topic", "a"], "--contact-list: is missing: give it"),
    "a topic that is none": (["--contact-list", "a", "--topic", "ä"], "--topic: 'ä' is not the name of a"),
    "an endpoint": (["--endpoint-id", "a.b"], "--endpoint-id: SES takes it with a signature of SigV4A alone"),
    "feedback of nobody": (
        ["--feedback-arn", "arn:aws:ses:eu-west-1:123456789012:identity/a"],
        "--feedback-arn: it is the identity of feedback_to, which is missing",
    ),
    "MIME and a text": (["--raw", "/dev/null"], "--raw takes a whole mail: drop --subject"),
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
