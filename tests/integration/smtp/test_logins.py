"""STARTTLS and AUTH over real sockets, with smtplib as the client."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_ses.errors import SettingsError
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.access.users import PasswordHash
from support.servers.certificates import CA, CERTIFICATE_AND_KEY
from support.smtp.ingress import Raw, Running, ingress

MAIL = b"From: ann@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nHi\r\n"
PASSWORD = "correct horse"
HASH = str(PasswordHash.of(PASSWORD.encode()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "users").write_text(f"ann {HASH}\nshop {HASH} headers senders=shop.example.com\n")
    (folder / "pem").write_text(CERTIFICATE_AND_KEY)
    (folder / "ca").write_text(CA)
    return folder


@pytest.fixture(scope="module")
def shared(files: Path) -> Iterator[Running]:
    with ingress(
        smtp_users=str(files / "users"), smtp_certificate=str(files / "pem"), smtp_networks="none"
    ) as running:
        yield running


@pytest.fixture
def running(shared: Running) -> Running:
    shared.outbox.submissions.clear()
    return shared


@pytest.fixture
def client(running: Running) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("localhost", running.port) as connected:
        yield connected


def trusted(files: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files / "ca"))


def test_a_user_sends_over_tls_and_the_mail_says_so(
    running: Running, client: smtplib.SMTP, files: Path
) -> None:
    client.starttls(context=trusted(files))
    client.login("ann", PASSWORD)
    assert client.sendmail("ann@example.com", "ben@example.org", MAIL) == {}
    [message] = running.outbox.messages
    assert message.data.startswith(b"Received: by rq-ses with ESMTPSA id ")


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_both_mechanisms_log_in_and_refuse_a_wrong_password(client: smtplib.SMTP, mechanism: str) -> None:
    client.ehlo()
    client.user, client.password = "ann", "wrong horse"
    name, answer = mechanism.removeprefix("auth_").upper(), getattr(client, mechanism)
    for initial in (True, False):
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.auth(name, answer, initial_response_ok=initial)
        assert (caught.value.smtp_code, caught.value.smtp_error) == (535, b"5.7.8 Name or password is wrong")
    client.password = PASSWORD
    assert client.auth(name, answer)[0] == 235
    assert client.docmd("AUTH", "PLAIN")[0] == 503


def test_without_logging_in_nothing_is_taken(running: Running, client: smtplib.SMTP, files: Path) -> None:
    client.starttls(context=trusted(files))
    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        client.sendmail("ann@example.com", "ben@example.org", MAIL)
    assert (caught.value.smtp_code, caught.value.smtp_error) == (530, b"5.7.0 Authentication is required")
    assert running.outbox.messages == []


def test_three_wrong_passwords_end_a_session(running: Running) -> None:
    with Raw(running.port) as raw:
        for _ in range(2):
            assert raw.say(b"AUTH PLAIN AGFubgB3cm9uZyBob3JzZQ==") == str(replies.WRONG_LOGIN)
        assert raw.say(b"AUTH PLAIN AG5vYm9keQB3cm9uZw==") == str(replies.TOO_MANY_LOGINS)
        assert raw.reply() == ""


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ((b"AUTH PLAIN !!!!",), "501 5.5.2 The credentials can't be read"),
        ((b"AUTH PLAIN YWJj",), "501 5.5.2 The credentials can't be read"),
        ((b"AUTH PLAIN", b"*"), "501 5.7.0 Auth aborted"),
        ((b"AUTH LOGIN", b"*"), "501 5.7.0 Auth aborted"),
        ((b"AUTH LOGIN", b"YW5u", b"***"), "501 5.5.2 Can't decode base64"),
        ((b"AUTH PLAIN", b"A" * 3000), "501 5.5.2 The credentials can't be read"),
        ((b"AUTH CRAM-MD5",), "504 5.5.4 Unrecognized authentication type"),
        ((b"AUTH PLAIN AGFubgBB" + b"QUFB" * 100,), "535 5.7.8 Name or password is wrong"),
    ],
)
def test_what_is_no_login_is_answered_as_such(running: Running, lines: tuple[bytes, ...], reply: str) -> None:
    with Raw(running.port) as raw:
        for line in lines[:-1]:
            assert raw.say(line).startswith("334 ")
        assert raw.say(lines[-1]) == reply
        assert raw.say(b"NOOP") == "250 OK"


def test_a_user_may_do_what_its_line_says(running: Running, client: smtplib.SMTP) -> None:
    client.login("shop", PASSWORD)
    with pytest.raises(smtplib.SMTPSenderRefused):
        client.sendmail("ann@example.com", "ben@example.org", MAIL)
    headers = b"X-SES-CONFIGURATION-SET: shop\r\nX-Rq-Ses-Priority: high\r\n"
    ours = headers + MAIL.replace(b"@example.com", b"@shop.example.com", 1)
    assert client.sendmail("a@shop.example.com", "ben@example.org", ours) == {}
    [submission] = running.outbox.submissions
    assert submission.priority == "high"
    [message] = running.outbox.messages
    assert b"X-SES-CONFIGURATION-SET: shop\r\n" in message.data
    assert b"Priority" not in message.data


def test_what_came_before_tls_is_forgotten(running: Running, client: smtplib.SMTP, files: Path) -> None:
    client.login("ann", PASSWORD)
    client.starttls(context=trusted(files))
    client.ehlo()
    assert client.mail("ann@example.com")[0] == 530


def test_commands_sent_along_with_starttls_are_not_obeyed(running: Running, files: Path) -> None:
    with Raw(running.port) as raw:
        raw.socket.sendall(b"STARTTLS\r\nNOOP\r\n")
        assert raw.reply().startswith("220 ")
        plain = raw.socket.dup()
        with trusted(files).wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"EHLO x\r\n")
            assert tls.recv(100).startswith(b"250-rq-ses\r\n")


def test_a_client_that_speaks_no_tls_after_all_disturbs_nobody(running: Running) -> None:
    with Raw(running.port) as raw:
        assert raw.say(b"STARTTLS").startswith("220 ")
        raw.socket.sendall(b"this is no TLS\r\n" * 4)
        while raw.socket.recv(1000):
            pass
    with Raw(running.port) as raw:
        assert raw.say(b"NOOP") == "250 OK"
    assert running.counts.refused["internal"] == 0


def test_new_files_count_once_they_are_reread_and_bad_ones_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = tmp_path / "users"
    users.write_text(f"ann {HASH}\n")
    with ingress(smtp_users=str(users), smtp_networks="none") as running:

        def may_log_in(name: str) -> bool:
            with smtplib.SMTP("localhost", running.port) as client:
                client.ehlo()
                client.user, client.password = name, PASSWORD
                try:
                    return client.auth("PLAIN", client.auth_plain)[0] == 235
                except smtplib.SMTPAuthenticationError:
                    return False

        def reread() -> None:
            running.loop.call_soon_threadsafe(running.ingress.reread)

        assert (may_log_in("ann"), may_log_in("ben")) == (True, False)
        users.write_text(f"ben {HASH}\n")
        reread()
        assert (may_log_in("ann"), may_log_in("ben")) == (False, True)
        users.write_text("carl\n")
        reread()
        assert may_log_in("ben")
        assert "users and certificate stay as they were" in caplog.text


def test_whom_the_file_no_longer_has_sends_no_more_in_a_session_that_is_open(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"ann {HASH}\nben {HASH}\n")
    with (
        ingress(smtp_users=str(users), smtp_networks="none") as running,
        smtplib.SMTP("localhost", running.port) as ann,
        smtplib.SMTP("localhost", running.port) as ben,
    ):
        for client, name in ((ann, "ann"), (ben, "ben")):
            client.login(name, PASSWORD)
        ann.sendmail("ann@example.com", ["a@example.org"], MAIL)
        users.write_text(f"ben {HASH} senders=example.net\n")
        running.loop.call_soon_threadsafe(running.ingress.reread)
        for client, reply in ((ann, replies.LOGIN_NEEDED), (ben, replies.SENDER_NOT_ALLOWED)):
            with pytest.raises(smtplib.SMTPSenderRefused) as caught:
                client.sendmail("ann@example.com", ["b@example.org"], MAIL)
            assert f"{caught.value.smtp_code} {caught.value.smtp_error.decode()}" == str(reply)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no certificate and its key without a password"),
        (
            CERTIFICATE_AND_KEY.partition("-----BEGIN PRIVATE")[0],
            "give both in PEM, the key .* by RQ_SES_SMTP_KEY",
        ),
    ],
)
def test_a_certificate_that_is_none_is_told_at_the_start(tmp_path: Path, content: str, problem: str) -> None:
    pem = tmp_path / "pem"
    pem.write_text(content)
    with pytest.raises(SettingsError, match=problem), ingress(smtp_certificate=str(pem)):
        pass
