"""Sessions over real sockets: what is taken, what is refused, and in which words."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterator

import pytest

from rq_ses import RawMessage
from rq_ses_worker.smtp import replies
from support.smtp.ingress import Raw, Running, ingress
from support.waiting import PATIENCE, wait_for

HEAD = b"From: ann@example.com\r\nMessage-ID: <1@example.com>\r\n"
MAIL = HEAD + b"\r\nHi\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    with ingress(smtp_max_size=2000, smtp_max_recipients=120) as running:
        yield running


@pytest.fixture
def running(shared: Running) -> Running:
    """One that has taken nothing yet."""
    shared.outbox.submissions.clear()
    shared.outbox.away = False
    shared.outbox.raises = None
    return shared


@pytest.fixture
def raw(running: Running) -> Iterator[Raw]:
    with Raw(running.port) as client:
        yield client


def only(running: Running) -> RawMessage:
    [message] = running.outbox.messages
    return message


def content(message: RawMessage) -> bytes:
    """Return a mail's bytes without the Received header in front."""
    received, _, rest = message.data.partition(b"+0000\r\n")
    assert received.startswith(b"Received: by rq-ses with ESMTP id ")
    return rest


def test_a_mail_is_taken_byte_for_byte(running: Running, raw: Raw) -> None:
    raw.envelope(b"ben@example.org", b"Carl@EXAMPLE.net")
    body = b"..a dot\r\n8bit \xff\xfe\r\ntrailing blank \r\n\r\n\r\n" + b"x" * 998 + b"\r\n"
    reply = raw.data(HEAD + b"\r\n" + body)
    assert reply.startswith("250 2.0.0 queued as ")
    message = only(running)
    assert content(message) == HEAD + b"\r\n" + body.replace(b"..a", b".a")
    assert message.to == ("Carl@example.net", "ben@example.org")
    assert reply.split()[-1].encode() in message.data


def test_the_same_mail_again_is_the_same_job(running: Running, raw: Raw) -> None:
    answers = set()
    for order in ((b"a@example.org", b"b@example.org"), (b"b@example.org", b"a@example.org")):
        raw.envelope(*order)
        answers.add(raw.data(MAIL))
    assert len(answers) == 1
    assert len(running.outbox.messages) == 1
    raw.envelope(b"c@example.org")
    assert raw.data(MAIL) not in answers


def test_smtplib_sends_to_more_than_fifty_and_loses_nobody(running: Running) -> None:
    everybody = [f"{n}@example.org" for n in range(110)]
    with smtplib.SMTP("127.0.0.1", running.port) as client:
        assert client.sendmail("ann@example.com", everybody, MAIL) == {}
    assert sorted(one for message in running.outbox.messages for one in message.to) == sorted(everybody)
    assert [len(message.to) for message in running.outbox.messages] == [50, 50, 10]


def test_the_recipient_beyond_the_bound_is_asked_for_later(raw: Raw) -> None:
    raw.envelope(*(b"%d@example.org" % n for n in range(120)))
    assert raw.say(b"RCPT TO:<x@example.org>") == "452 4.5.3 Too many recipients: 120 a mail"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"MAIL FROM:<>", str(replies.NULL_SENDER)),
        ("MAIL FROM:<änn@example.com>".encode(), str(replies.UTF8_SENDER)),
        (b"MAIL FROM:<\xe4nn@example.com>", str(replies.UTF8_SENDER)),
        (b"MAIL FROM:<ann@nowhere>", str(replies.BAD_SENDER)),
        (b"MAIL FROM:<ann@[127.0.0.1]>", str(replies.BAD_SENDER)),
        (b"MAIL FROM:<ann@example.com> SMTPUTF8", str(replies.NO_SMTPUTF8)),
        (b"MAIL FROM:<a@b.test> SIZE=2001", "552 Error: message size exceeds fixed maximum message size"),
        (b"MAIL FROM:<a@example.com> BODY=BINARYMIME", "501 Error: BODY can only be one of 7BIT, 8BITMIME"),
        (b"MAIL FROM:<a@example.com> ELSE=1", "555 MAIL FROM parameters not recognized or not implemented"),
        (b"MAIL FROM: ann@example.com", str(replies.SYNTAX)),
        (b"MAIL FROM:<ann", str(replies.SYNTAX)),
        (b"MAIL FROM:<", str(replies.SYNTAX)),
        (b"MAIL FROM:<<a@example.com>>", str(replies.SYNTAX)),
        (b"MAIL", str(replies.SYNTAX)),
        (b"MAIL TO:<a@example.com>", str(replies.SYNTAX)),
        (b"RCPT TO:<ben@example.org>", "503 Error: need MAIL command"),
        (b"DATA", "503 Error: need RCPT command"),
        (b"AUTH PLAIN AGEAYg==", str(replies.NO_LOGIN)),
        (b"VRFY ann@example.com", "252 2.5.0 Nobody is looked up here; send the mail"),
        (b"VRFY \xff<", "252 2.5.0 Nobody is looked up here; send the mail"),
        (b"EXPN all", "502 EXPN not implemented"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_at_once_and_in_words(raw: Raw, command: bytes, reply: str) -> None:
    assert raw.say(command) == reply
    raw.envelope()
    assert raw.data(MAIL).startswith("250")


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("<bän@example.org>".encode(), replies.UTF8_RECIPIENT),
        (b"<ben@nowhere>", replies.BAD_RECIPIENT),
        (b"<ben@example.org@example.com>", None),
        (b"<ben>", None),
        (b"ben@example.org", replies.SYNTAX),
    ],
)
def test_a_bad_recipient_is_refused_and_the_others_are_not(
    running: Running, raw: Raw, recipient: bytes, reply: replies.Refusal | None
) -> None:
    raw.envelope(b"good@example.org")
    answer = raw.say(b"RCPT TO:" + recipient)
    assert answer == str(reply) if reply else answer.startswith("5")
    assert raw.data(MAIL).startswith("250")
    assert only(running).to == ("good@example.org",)


def test_a_domain_of_other_letters_is_one_in_ascii(running: Running, raw: Raw) -> None:
    raw.envelope("ben@bücher.example".encode())
    assert raw.data(MAIL).startswith("250")
    assert only(running).to == ("ben@xn--bcher-kva.example",)


def test_postfixs_word_about_the_original_sender_is_borne(raw: Raw) -> None:
    assert raw.say(b"MAIL FROM:<ann@example.com> SIZE=100 AUTH=<>").startswith("250")
    assert raw.say(b"RSET").startswith("250")
    long = b"a" * 300 + b"@example.com"
    assert raw.say(b"MAIL FROM:<ann@example.com> BODY=8BITMIME AUTH=" + long).startswith("250")


def test_what_is_offered_is_what_there_is(running: Running) -> None:
    with smtplib.SMTP("127.0.0.1", running.port) as client:
        client.ehlo()
        assert client.esmtp_features == {"size": "2000", "8bitmime": "", "help": ""}


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b"bare\nline feed\r\n", str(replies.BARE)),
        (b"bare\rreturn\r\n", str(replies.BARE)),
        (b"\n.\r\nnot the end\r\n", str(replies.BARE)),
        (b"a\r\n.\nnot the end\r\n", str(replies.BARE)),
        (b"a\r\n.\rnot the end\r\n", str(replies.BARE)),
        (b"x" * 999 + b"\r\n", "554 5.6.0 The mail can't be sent: "),
        (b"x" * 1500 + b"\r\n", "500 Line too long (see RFC5321 4.5.3.1.6)"),
        (b"x" * 76 + b"\r\n" + b"line\r\n" * 400, "552 Error: Too much mail data"),
        (b"\0\r\n", "554 5.6.0 The mail can't be sent: "),
    ],
)
def test_content_that_must_not_go_on_is_refused_as_a_whole(
    running: Running, raw: Raw, body: bytes, reply: str
) -> None:
    raw.envelope()
    assert raw.data(HEAD + b"\r\n" + body).startswith(reply)
    # What came behind was not taken for commands, and the session goes on.
    assert raw.say(b"NOOP") == "250 OK"
    assert running.outbox.messages == []
    raw.envelope()
    assert raw.data(MAIL).startswith("250")


def test_only_crlf_dot_crlf_ends_a_mail(running: Running, raw: Raw) -> None:
    raw.envelope()
    assert raw.say(b"DATA").startswith("354")
    inner = b"\n.\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\nsmuggled\r\n"
    raw.socket.sendall(HEAD + b"\r\n" + inner + b".\r\n")
    assert raw.reply() == str(replies.BARE)
    assert running.outbox.messages == []


def test_headers_that_are_commands_are_refused_to_who_has_not_logged_in(running: Running, raw: Raw) -> None:
    raw.envelope()
    reply = raw.data(b"X-SES-CONFIGURATION-SET: theirs\r\n" + MAIL)
    assert reply == "550 5.7.1 The header X-SES-CONFIGURATION-SET is for users who are allowed to set it"
    assert running.outbox.messages == []


def test_while_redis_is_away_a_mail_is_to_come_again(
    running: Running, raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    running.outbox.away = True
    raw.envelope()
    with caplog.at_level(logging.INFO):
        assert raw.data(MAIL) == str(replies.AWAY)
    running.outbox.away = False
    raw.envelope()
    assert raw.data(MAIL).startswith("250")
    assert "secret-host is away); mails are answered with 451" in caplog.text
    assert running.counts.refused["away"] == 1


def test_no_exception_is_told_to_a_client(
    running: Running, raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    running.outbox.raises = RuntimeError("the password is hunter2")
    raw.envelope()
    assert raw.data(MAIL) == str(replies.INTERNAL)
    assert "hunter2" in caplog.text
    running.outbox.raises = None
    raw.envelope()
    assert raw.data(MAIL).startswith("250")


def test_a_client_that_leaves_is_no_reason_to_drop_its_mail(running: Running) -> None:
    running.outbox.may_answer.clear()
    running.outbox.asked.clear()
    before = running.counts.taken
    with Raw(running.port) as leaver:
        leaver.envelope()
        assert leaver.say(b"DATA").startswith("354")
        leaver.socket.sendall(MAIL + b".\r\n")
        assert running.outbox.asked.wait(PATIENCE)
    assert running.outbox.messages == []
    running.outbox.may_answer.set()
    # It had no answer, so it sends again: both are one.
    with Raw(running.port) as again:
        again.envelope()
        assert again.data(MAIL).startswith("250")
    wait_for(lambda: running.counts.taken == before + 2)
    only(running)


def test_a_mail_that_never_ends_is_not_taken(running: Running) -> None:
    with Raw(running.port) as leaver:
        leaver.envelope()
        assert leaver.say(b"DATA").startswith("354")
        leaver.socket.sendall(MAIL)
    with Raw(running.port) as after:
        assert after.say(b"NOOP").startswith("250")
    assert running.outbox.messages == []


@pytest.mark.parametrize(
    "odd", ['"a..b"@example.org', "=?utf-8?q?x?=@example.org", '"a b"@example.org', "o'neil%b!c@example.org"]
)
def test_an_odd_address_stays_as_it_is(running: Running, raw: Raw, odd: str) -> None:
    raw.envelope(odd.encode())
    assert raw.data(MAIL).startswith("250")
    assert only(running).to == (odd,)
