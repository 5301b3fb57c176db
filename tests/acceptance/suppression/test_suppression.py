"""`rq-ses suppression`, and what workers do with the list, as an operator runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli.terminal import exits
from rq_ses.suppression import Suppression
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, raw_mail, status
from support.programs.processes import environment, run, running_module
from support.waiting import wait_for


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return environment(RQ_SES_REDIS_URL=redis_url)


def test_addresses_are_added_shown_and_removed(redis: Redis, env: dict[str, str]) -> None:
    done = run(
        ["suppression", "add", "Ann <Ann@BÜCHER.example>", "bob@example.com", "--text", "by phone"], env
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "ann@xn--bcher-kva.example: added\nbob@example.com: added\n"
    run(["suppression", "add", "bob@example.com", "--reason", "complaint"], env)
    assert run(["suppression", "list", "--count"], env).stdout == "2\n"
    done = run(["suppression", "list", "--json", "--reason", "complaint"], env)
    [row] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["address"], row["reason"]) == ("bob@example.com", "complaint")
    done = run(["suppression", "list", "ann@bücher.example", "carl@example.com"], env)
    assert done.returncode == exits.INCOMPLETE
    assert done.stdout.startswith("ann@xn--bcher-kva.example  manual  20")
    assert done.stdout.endswith(" UTC  by phone\n")
    assert "carl@example.com: is not on the list" in done.stderr
    done = run(["suppression", "remove", "--json", "bob@example.com", "carl@example.com"], env)
    assert done.returncode == exits.INCOMPLETE
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == ["removed", "missing"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ann", "'ann' is not an e-mail address"),
        ("bounce@simulator.amazonses.com", "SES's mailbox simulator"),
    ],
)
def test_what_cannot_be_on_the_list_is_refused(
    redis: Redis, env: dict[str, str], address: str, said: str
) -> None:
    done = run(["suppression", "add", "ann@example.com", address], env)
    assert done.returncode == exits.USAGE
    assert said in done.stderr
    assert redis.keys("*") == []


def test_a_list_goes_through_a_file(redis: Redis, env: dict[str, str], tmp_path: Path) -> None:
    given, kept = tmp_path / "given.txt", tmp_path / "kept.jsonl"
    given.write_text("ann@example.com\nnobody\nbob@example.com\n")
    done = run(["suppression", "import", str(given), "--reason", "bounce"], env)
    assert done.returncode == exits.INCOMPLETE
    assert "line 2: 'nobody' is not an e-mail address" in done.stderr
    assert done.stderr.endswith("2 addresses added, 0 there already, 1 bad line\n")
    assert run(["suppression", "export", str(kept)], env).returncode == 0
    assert kept.stat().st_mode & 0o077 == 0
    again = run(["suppression", "export", str(kept)], env)
    assert (again.returncode, "is there already" in again.stderr) == (exits.USAGE, True)
    redis.flushall()
    done = run(["suppression", "import", "--json", str(kept)], env)
    assert (done.returncode, json.loads(done.stdout)["added"]) == (0, 2)
    assert run(["suppression", "list", "--count", "--reason", "bounce"], env).stdout == "2\n"


def test_a_suppressed_mail_fails_and_goes_out_once_its_address_is_removed(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], env: dict[str, str]
) -> None:
    Suppression(redis_url).add("anna@example.com", reason="bounce")
    outbox = Outbox(redis_url)
    first, raw = outbox.send(mail("Anna <ANNA@example.com>", cc=["ben@example.com"])), outbox.send(raw_mail())
    other = outbox.send(mail("ben@example.com"))
    done = run(["worker", "--burst"], worker_env)
    assert [status(redis, one.job_id) for one in (first, raw, other)] == ["failed", "failed", "finished"]
    assert len(ses.mails) == 1
    assert f"job {first.job_id}: failed: Suppressed: " in done.stderr
    assert "anna@example.com" not in done.stderr
    shown = json.loads(run(["failed", first.job_id, "--json"], env).stdout)
    assert shown["code"] == "Suppressed"
    run(["suppression", "remove", "anna@example.com"], env)
    assert run(["resend", "--yes", "--code", "Suppressed"], env).returncode == 0
    run(["worker", "--burst"], worker_env)
    assert [status(redis, one.job_id) for one in (first, raw)] == ["finished", "finished"]


def test_mails_may_go_to_their_other_recipients(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], env: dict[str, str]
) -> None:
    Suppression(redis_url).add("anna@example.com")
    outbox = Outbox(redis_url)
    cut, lost = outbox.send(mail(cc=["ben@example.com"])), outbox.send(mail())
    done = run(["worker", "--burst"], {**worker_env, "RQ_SES_SUPPRESSED": "drop"})
    assert [found.recipients for found in ses.mails] == [("ben@example.com",)]
    assert fetch(redis, cut.job_id).return_value()["suppressed"] == ["anna@example.com"]
    assert "sent, but not to a" in done.stderr
    assert status(redis, lost.job_id) == "failed"


def test_a_stock_worker_asks_the_list_too(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    Suppression(redis_url).add("anna@example.com")
    outbox = Outbox(redis_url)
    cut, lost = outbox.send(mail(cc=["ben@example.com"])), outbox.send(mail())
    arguments = ["-m", "rq.cli", "worker", "mail", "--url", redis_url, "--worker-class", "rq.SimpleWorker"]
    arguments += ["--serializer", "rq.serializers.JSONSerializer"]
    with running_module(arguments, {**worker_env, "RQ_SES_SUPPRESSED": "drop"}, tmp_path / "log"):
        wait_for(lambda: status(redis, lost.job_id) == "failed", within=60)
    assert [found.recipients for found in ses.mails] == [("ben@example.com",)]
    assert fetch(redis, cut.job_id).return_value()["suppressed"] == ["anna@example.com"]
    assert (
        "SendFailed: Suppressed: on the suppression list: anna@example.com (manual, "
        in fetch(redis, lost.job_id).latest_result().exc_string
    )
