"""`rq-ses sendmail`: what programs write to it, and what then stands in Redis."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from rq_ses import Message, RawMessage
from rq_ses.cli import main
from rq_ses.cli.sendmail import exits
from rq_ses.message.raw import MAX_MIME
from rq_ses.message.reading import AnyMessage
from support.mails.keys import KEYS
from support.programs.send_command import task

Sendmail = Callable[..., Result]

MAIL = b"From: shop@shop.example\nTo: Anna <anna@customer.example>\nSubject: Hi\n\nHello\n"
SIGNED = (
    b'From: shop@shop.example\r\nTo: anna@customer.example\r\nBcc: eve@customer.example\r\nSubject: Hi\r\n'
    b'X-Folded: a\r\n  b\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
    b' micalg=sha-256; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello  \r\n'
    b"--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
    b"--b--\r\n"
)  # fmt: skip


@pytest.fixture
def sendmail(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Sendmail:
    monkeypatch.setenv("RQ_SES_REDIS_URL", redis_url)

    def run(line: str, data: bytes = MAIL, **variables: str) -> Result:
        return CliRunner().invoke(main, ["sendmail", *line.split()], input=data, env=variables)

    return run


def queued(redis: Redis) -> list[AnyMessage]:
    return [task(redis, job_id.decode()).message for job_id in redis.lrange(KEYS.queue("mail"), 0, -1)]


def test_the_header_is_the_envelope(redis: Redis, sendmail: Sendmail) -> None:
    data = MAIL.replace(
        b"Subject", b"Cc: ben@customer.example\nBcc: eve@customer.example, fay@customer.example\nSubject"
    )
    done = sendmail("-t -i", data)
    assert (done.exit_code, done.output) == (0, "")
    [message] = queued(redis)
    assert message == Message(
        sender="shop@shop.example",
        to=['"Anna" <anna@customer.example>'],
        cc=["ben@customer.example"],
        bcc=["eve@customer.example", "fay@customer.example"],
        subject="Hi",
        text="Hello\n",
    )  # fmt: skip


def test_recipients_of_the_command_line_get_it_whatever_its_header_says(
    redis: Redis, sendmail: Sendmail
) -> None:
    for line in ("ben@customer.example", "-t ben@customer.example", "anna@customer.example"):
        assert sendmail(line).exit_code == 0
    alone, both, same = queued(redis)
    assert alone.recipients == ("ben@customer.example",)
    assert both.recipients == ("anna@customer.example", "ben@customer.example")
    assert isinstance(alone, RawMessage)
    assert alone.data == MAIL.replace(b"\n", b"\r\n")
    assert isinstance(same, Message)


def test_what_is_signed_stays_what_it_is_but_for_its_bcc(redis: Redis, sendmail: Sendmail) -> None:
    assert sendmail("-t -i", SIGNED).exit_code == 0
    [message] = queued(redis)
    assert isinstance(message, RawMessage)
    assert message.data == SIGNED.replace(b"Bcc: eve@customer.example\r\n", b"")
    assert message.recipients == ("anna@customer.example", "eve@customer.example")


def test_bounces_go_where_the_command_line_says(redis: Redis, sendmail: Sendmail) -> None:
    lines = ("-t -f bounces@shop.example", "-t -fshop@shop.example", "-t -f root", "-t -r <>")
    for line in lines:
        assert sendmail(line).exit_code == 0
    assert sendmail("-t -f bounces@shop.example", SIGNED).exit_code == 0
    found = [message.feedback_to for message in queued(redis)]
    assert found == ["bounces@shop.example", None, None, None, "bounces@shop.example"]


def test_a_mail_that_is_sent_on_goes_to_those_it_is_sent_on_to(redis: Redis, sendmail: Sendmail) -> None:
    resent = b"Resent-Date: Sun, 29 Nov 2026 17:00:00 +0000\nResent-To: ben@customer.example\n" + MAIL
    assert sendmail("-t", resent).exit_code == 0
    assert [message.recipients for message in queued(redis)] == [("ben@customer.example",)]


def test_what_a_job_of_crons_says_reaches_somebody(redis: Redis, sendmail: Sendmail) -> None:
    data = (
        "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web1> df\n"
        "Content-Type: text/plain; charset=UTF-8\n\n€\n"
    ).encode()
    own = {"RQ_SES_SENDMAIL_SENDER": "web1@shop.example", "RQ_SES_SENDMAIL_LOCAL": "ops@shop.example"}
    assert sendmail("-FCronDaemon -i -B8BITMIME -oem root", data, **own).exit_code == 0
    assert queued(redis) == [
        Message(
            sender='"Cron Daemon" <web1@shop.example>',
            to=['"root" <ops@shop.example>'],
            subject="Cron <root@web1> df",
            text="€\n",
        )
    ]


@pytest.mark.parametrize("text", [b"x" * 999 + b"\nand more\n", b"\0 and \xff\n"])
def test_whatever_a_job_of_crons_prints_can_be_carried(redis: Redis, sendmail: Sendmail, text: bytes) -> None:
    head = MAIL.removesuffix(b"\nHello\n") + b"X-Cron-Env: <SHELL=/bin/sh>\nX-Cron-Env: <HOME=/root>\n"
    assert sendmail("-t -i", head + b"\n" + text).exit_code == 0
    [message] = queued(redis)
    assert isinstance(message, RawMessage)
    sent = message_from_bytes(message.data)
    assert sent.get_payload(decode=True) == text.replace(b"\n", b"\r\n")
    assert (sent.get_content_type(), sent["MIME-Version"]) == ("text/plain", "1.0")
    assert sent.get_all("X-Cron-Env") == ["<SHELL=/bin/sh>", "<HOME=/root>"]


def test_parts_in_parts_in_parts_are_nobodys_business(redis: Redis, sendmail: Sendmail) -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(2000))
    assert sendmail("-t -i", MAIL.removesuffix(b"\nHello\n") + deep).exit_code == 0
    [message] = queued(redis)
    assert isinstance(message, RawMessage)


def test_a_mail_for_many_is_several_of_fifty_recipients(redis: Redis, sendmail: Sendmail) -> None:
    everybody = [f"reader-{number}@customer.example" for number in range(120)]
    assert sendmail(" ".join(everybody)).exit_code == 0
    found = [message.recipients for message in queued(redis)]
    assert [len(recipients) for recipients in found] == [50, 50, 20]
    assert [one for recipients in found for one in recipients] == everybody


def test_a_mail_with_an_id_is_enqueued_once_and_one_without_each_time(
    redis: Redis, sendmail: Sendmail
) -> None:
    named = MAIL.replace(b"Subject", b"Message-ID: <1@shop.example>\nSubject")
    first, again = sendmail("-t -v", named), sendmail("-t -v", named)
    assert first.stderr.startswith("enqueued as job ")
    assert again.stderr == first.stderr.replace("enqueued", "enqueued before")
    for line, data in (
        ("ben@customer.example", named),
        ("-t", named + b"P.S.\n"),
        ("-t", MAIL),
        ("-t", MAIL),
    ):
        assert sendmail(line, data).exit_code == 0
    assert redis.llen(KEYS.queue("mail")) == 5


@pytest.mark.parametrize(
    ("line", "data", "variables", "code", "says"),
    [
        ("-bs", MAIL, {}, exits.USAGE, "-bs can't be obeyed"),
        ("-t", b"", {"RQ_SES_SENDMAIL_SENDER": "a@shop.example"}, exits.DATA, "nobody is to get it"),
        ("-t", MAIL.replace(b"anna@", b"anna@-"), {}, exits.DATA, "is not an e-mail address"),
        ("a@shop.example", b"X: \0\n", {"RQ_SES_SENDMAIL_SENDER": "a@shop.example"}, exits.DATA, "NUL"),
        ("-t", MAIL + b"x" * MAX_MIME, {}, exits.DATA, f"more than the {MAX_MIME} bytes"),
        ("-t", b"To: a@shop.example\n\nHi\n", {}, exits.SETTINGS, "RQ_SES_SENDMAIL_SENDER"),
        ("root", MAIL, {}, exits.NO_USER, "'root' is a user of this host alone"),
        (
            "-t",
            MAIL,
            {"RQ_SES_SENDMAIL_SENDER": "root"},
            exits.SETTINGS,
            "RQ_SES_SENDMAIL_SENDER: 'root' is not",
        ),
        ("-t", MAIL, {"RQ_SES_QUEU": "mail"}, exits.SETTINGS, "RQ_SES_QUEU is not a setting"),
        (
            "-t",
            MAIL,
            {"RQ_SES_REDIS_URL": "redis://127.0.0.1:1/0", "RQ_SES_ENQUEUE_TIMEOUT": "0.05"},
            exits.TRY_AGAIN,
            "Redis did not take 1 message",
        ),
    ],
)
def test_what_is_wrong_is_told_in_sysexits_codes(
    line: str, data: bytes, variables: dict[str, str], code: int, says: str, redis: Redis, sendmail: Sendmail
) -> None:
    done = sendmail(line, data, **variables)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith("Error: ")
    assert says in done.stderr
    assert redis.dbsize() == 0


def test_a_redis_that_refuses_the_user_is_no_reason_to_try_again(
    redis: Redis, redis_url: str, sendmail: Sendmail
) -> None:
    redis.execute_command("ACL SETUSER reader on >secret ~* +@read +@connection +eval +evalsha +time +script")
    try:
        for user in ("reader:secret", "reader:wrong"):
            done = sendmail("-t", RQ_SES_REDIS_URL=redis_url.replace("//", f"//{user}@"))
            assert (done.exit_code, "secret" in done.output) == (exits.DENIED, False), done.output
    finally:
        redis.execute_command("ACL DELUSER reader")
    assert redis.dbsize() == 0
