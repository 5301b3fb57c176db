"""`rq-ses send` with one mail, as people and scripts use it: the real command, a real Valkey."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer

from rq_ses import Attachment
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.programs.processes import environment, run
from support.programs.send_command import MAIL, jobs, row, sent, task

AWAY = "redis://127.0.0.1:1/0"


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
    assert re.fullmatch(r"[0-9A-Za-z]{22}\n", done.stdout)
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
    assert (accepted.parsed.to[1], accepted.parsed.cc, accepted.parsed.reply_to) == (
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
    # By the server's clock, which the process knows to half of a round trip.
    assert before + 60 <= task(redis, done.stdout.strip()).expires <= time.time() + 61
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
