"""Postfix relays its mails to the ingress: over TLS, logged in, and again until they are taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from rq_ses_worker.simulator.server import SimulatorServer
from rq_ses_worker.smtp.access.users import PasswordHash
from support.mails.keys import KEYS
from support.programs.processes import run
from support.servers.certificates import CA, CERTIFICATE_AND_KEY
from support.servers.ports import free_port
from support.smtp.postfix import postfix
from support.smtp.process import sent, smtp_ingress
from support.waiting import wait_for

pytestmark = pytest.mark.postfix

CONTENT = b"From: ann@example.com\nSubject: from cron\nBcc: hidden@example.org\n\n8bit \xff\n.\nend\n"


def test_its_mails_come_to_ses_and_none_is_lost_while_the_ingress_is_away(
    redis: Redis, worker_env: dict[str, str], ses: SimulatorServer, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text(f"postfix {PasswordHash.of(b'correct horse')}\n")
    (tmp_path / "pem").write_text(CERTIFICATE_AND_KEY)
    port = free_port()
    options = [
        "--users",
        str(tmp_path / "users"),
        "--certificate",
        str(tmp_path / "pem"),
        "--networks",
        "none",
    ]
    everybody = [f"{number}@example.org" for number in range(120)]
    with postfix(port, ca=CA, login="postfix:correct horse") as client:
        client.submit("ann@example.com", everybody, CONTENT)
        wait_for(lambda: "status=deferred" in client.log)
        with smtp_ingress(worker_env, tmp_path / "log", *options, port=port):
            wait_for(lambda: client.log.count("status=sent (250 2.0.0 queued as") == 120, within=60)
    assert redis.llen(KEYS.queue("mail")) == 3
    done = run(["worker", "--burst"], worker_env)
    assert done.returncode == 0, done.stderr
    found = sent(ses)
    assert sorted(one for recipients, _ in found for one in recipients) == sorted(everybody)
    for _, data in found:
        head, _, body = data.partition(b"\r\n\r\n")
        assert body == b"8bit \xff\r\n.\r\nend\r\n"
        assert head.startswith(b"Received: by postfix.example.com (Postfix,")
        assert b"hidden" not in head
    [body] = {json.dumps(json.loads(mail.body).get("FromEmailAddress")) for mail in ses.mails}
    assert body == "null"
