"""`rq-ses failed`, as an operator runs it."""

from __future__ import annotations

import json
import re
import sys

from redis import Redis

from rq_ses_worker.ses.outcome import Terminal
from support.mails.deadletters import fail
from support.mails.failed_mails import some
from support.mails.mail import mail
from support.programs.processes import run
from support.programs.terminal import run_on_terminal


def test_failed_mails_are_grouped_with_a_hint(redis: Redis, env: dict[str, str]) -> None:
    some(redis)
    fail(redis, [mail()], Terminal(403, "AccessDeniedException", "Not authorized"), queue="mail-bulk")
    done = run(["failed"], env)
    assert done.returncode == 0, done.stderr
    assert re.match(
        r" +3  MessageRejected: Email address is not verified\. .* EU-WEST-1: ADDRESS\n"
        r" +failed 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(2 h ago\)\n"
        r" +Hint: In the sandbox ",
        done.stdout,
    ), done.stdout
    assert re.search(r" 1  ReadTimeout: .*\n.*; SES may have accepted it\n", done.stdout)
    assert " 1  AccessDeniedException: Not authorized\n" in done.stdout
    assert done.stderr == "5 failed mails in 3 groups, the largest first (mail-high, mail, mail-bulk)\n"


def test_groups_lists_and_single_mails_are_printed_as_json(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    first, second = (json.loads(line) for line in run(["failed", "--json"], env).stdout.splitlines())
    assert (first["code"], first["count"], first["unknown"]) == ("MessageRejected", 3, 0)
    assert first["hint"]
    assert first["oldest"] == first["newest"]
    assert (second["code"], second["unknown"]) == ("ReadTimeout", 1)
    lines = run(["failed", "--list", "--json", "--code", "MessageRejected"], env).stdout.splitlines()
    assert {json.loads(line)["job_id"] for line in lines} == set(ids[:3])
    one = json.loads(run(["failed", ids[3], "--json"], env).stdout)
    assert (one["job_id"], one["unknown"], one["mail"]["to"]) == (ids[3], True, ["user3@example.com"])


def test_mails_are_listed_a_line_each(redis: Redis, env: dict[str, str]) -> None:
    ids = some(redis)
    done = run(["failed", "--list"], env)
    lines = done.stdout.splitlines()
    assert {line.partition(" ")[0] for line in lines} == set(ids)
    [line] = [line for line in lines if line.startswith(ids[3])]
    assert "user3@example.com → Hi | ReadTimeout: No answer within 5 s. [SES may have accepted it]" in line
    assert len(run(["failed", "--list", "--limit", "2"], env).stdout.splitlines()) == 2
    done = run(["failed", "--list", "--recipient", "user1@example.com", "--older-than", "2h"], env)
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [ids[1]]
    assert run(["failed", "--list", "--newer-than", "2h"], env).stdout == ""


def test_one_mail_is_shown_whole(redis: Redis, env: dict[str, str]) -> None:
    message = mail(
        cc=["copy@example.com"],
        tags={"kind": "news"},
        headers={"X-Order": "7"},
        text="Hello Anna,\n\n\x1b[2Jbye",
        html="<p>x</p>",
        attachments=[{"filename": "a.txt", "content": b"xxx"}],
    )
    [job_id] = fail(redis, [message])
    shown = run(["failed", job_id], env).stdout
    for line in (
        rf"^job +{job_id} \(queue mail\)$",
        r"^failed +2.*\(\d+ s ago\)$",
        r"^attempts +1 attempt$",
        r"^may be accepted +no$",
        r"^SES's answer +MessageRejected: Email .* \(HTTP 400, request id r-1\)$",
        r"^hint +In the sandbox",
        r"^from +Shop ‹shop@example.com›$",
        r"^to +anna@example.com$",
        r"^cc +copy@example.com$",
        r"^header +X-Order: 7$",
        r"^tag +kind=news$",
        r"^subject +Hi$",
        r"^attachment +a.txt \(text/plain, 3 bytes\)$",
        r"^text +20 characters$",
        r"^html +8 characters$",
        r"^Hello Anna,$",
        r"^\[2Jbye$",
    ):
        assert re.search(line, shown, re.MULTILINE), (line, shown)
    assert "\x1b" not in shown
    done = run(["failed", "no-such-job"], env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "job no-such-job is no failed mail of mail-high, mail, mail-bulk" in done.stderr


def test_what_strangers_wrote_obeys_neither_terminal_nor_markup(redis: Redis, env: dict[str, str]) -> None:
    [job_id] = fail(redis, [mail()])
    evil = "\x1b]0;x\x07[red]\u202e<b>"
    report = {"outcome": "terminal", "code": f"X{evil}", "message": evil, "ambiguous": False}
    redis.hset(
        f"rq:job:{job_id}",
        mapping={
            "description": evil,
            "exc_info": f"X{evil}: {evil}",
            "meta": json.dumps({"last_outcome": report}),
        },
    )
    for arguments in (["failed"], ["failed", "--list"], ["failed", job_id]):
        _, shown = run_on_terminal([sys.executable, "-m", "rq_ses", *arguments], env)
        assert "[red]" in shown
        assert not re.search(r"\x1b\]|[\x07\u202e<>]", shown), shown
    listed = json.loads(run(["failed", "--list", "--json"], env).stdout)
    assert listed["message"] == evil
