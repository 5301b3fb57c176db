"""`rq-ses sendmail` as a program that other programs start, with a worker behind it."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping

from redis import Redis

from rq_ses.cli.sendmail import exits
from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.processes import PATIENCE, environment, run

CRON = (
    "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web1> df\nMIME-Version: 1.0\n"
    "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"
    "X-Cron-Env: <SHELL=/bin/sh>\n\nGrüße: 100 %\n.\nEnde\n"
).encode()
INVITATION = (
    b"From: Shop <shop@example.com>\r\nTo: anna@example.com\r\nBcc: eve@example.com\r\nSubject: Meeting\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n"
    b"BEGIN:VCALENDAR\r\nSUMMARY:Gr\xc3\xbc\xc3\x9fe\r\nEND:VCALENDAR\r\n"
)


def sendmail(env: Mapping[str, str], line: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "rq_ses", "sendmail", *line.split()],
        env=dict(env), input=data, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_what_cron_and_php_write_goes_out(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    env = {
        **worker_env,
        "RQ_SES_SENDMAIL_SENDER": "web1@example.com",
        "RQ_SES_SENDMAIL_LOCAL": "ops@example.com",
    }
    for line, data in (("-FCronDaemon -i -B8BITMIME -oem root", CRON), ("-t -i", INVITATION)):
        done = sendmail(env, line, data)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert run(["worker", "--burst"], worker_env).returncode == 0
    mails = {mail.parsed.subject: mail for mail in ses.mails}
    assert mails.keys() == {"Cron <root@web1> df", "Meeting"}
    cron, meeting = mails["Cron <root@web1> df"], mails["Meeting"]
    assert (cron.sender, cron.recipients) == ("web1@example.com", ("ops@example.com",))
    assert cron.parsed.text == "Grüße: 100 %\n.\nEnde\n"
    assert meeting.recipients == ("anna@example.com", "eve@example.com")
    data = base64.b64decode(meeting.request["Content"]["Raw"]["Data"])
    assert data == INVITATION.replace(b"Bcc: eve@example.com\r\n", b"")


def test_a_caller_that_gives_no_standard_input_is_told(redis_url: str) -> None:
    command = f"exec {sys.executable} -m rq_ses sendmail -t <&-"
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment(RQ_SES_REDIS_URL=redis_url),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (exits.NO_INPUT, "")
    assert "standard input is closed" in done.stderr
