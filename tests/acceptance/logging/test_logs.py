"""The log of a real worker: every line an object, addresses masked, what libraries say among it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli.terminal import exits
from rq_ses_worker.logging.events import CATALOGUE, LIBRARY
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail
from support.programs.processes import SECRET, TOKEN, run


def drained(env: dict[str, str], *options: str) -> str:
    done = run(["worker", "--burst", "--name", "the-worker", *options], env)
    assert (done.returncode, done.stdout) == (exits.INCOMPLETE, ""), done.stderr
    assert SECRET not in done.stderr
    assert TOKEN not in done.stderr
    return done.stderr


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_as_json_every_line_is_an_event_of_the_catalogue(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    sent, refused = Outbox(redis_url).send_many([mail("anna@example.com"), mail("reject.x@faults.example")])
    told = objects(drained(worker_env, "--log-format", "json", "--log-sent"))
    assert {line["event"] for line in told} <= {event.name for event in CATALOGUE} | {LIBRARY}
    assert not any(line["logger"].startswith("rq.") for line in told)
    by_name = {line["event"]: line for line in told}
    assert by_name["worker.started"]["queues"] == "mail-high, mail, mail-bulk"
    assert by_name["worker.started"]["account"] == "default:us-east-1"
    result = fetch(redis, sent.job_id).latest_result()
    assert result is not None
    assert by_name["mail.sent"]["job_id"] == sent.job_id
    assert by_name["mail.sent"]["message_id"] == result.return_value["message_id"]
    assert by_name["mail.sent"]["to"] == "a…@example.com"
    assert by_name["mail.failed"]["job_id"] == refused.job_id
    assert (by_name["mail.failed"]["queue"], by_name["mail.failed"]["attempt"]) == ("mail", 1)


def test_for_people_it_is_sentences_and_a_sent_mail_is_not_told(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    Outbox(redis_url).send_many([mail("anna@example.com"), mail("reject.x@faults.example")])
    text = drained(worker_env, "--log-addresses", "none")
    assert "[worker.started]" in text
    assert "[mail.failed]" in text
    assert "mail.sent" not in text
    assert "anna@" not in text
    assert "(address)" in text


@pytest.mark.parametrize("name", ["RQ_SES_LOG_FORMAT", "RQ_SES_LOG_ADDRESSES"])
def test_an_unknown_form_is_named(worker_env: dict[str, str], name: str) -> None:
    done = run(["worker"], {**worker_env, name: "xml"})
    assert done.returncode == exits.SETTINGS
    assert f"Error: {name}: 'xml'" in done.stderr
