"""Whom the ingress serves and how much of it: networks, senders, rate, connections, and its end."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from rq_ses_worker.smtp import ingress as module
from rq_ses_worker.smtp import replies
from support.smtp.ingress import Raw, ingress
from support.waiting import PATIENCE, wait_for

MAIL = b"From: ann@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nHi\r\n"


def is_greeted(port: int) -> bool:
    with Raw(port, greeted=False) as client:
        return client.reply().startswith("220")


def test_it_relays_for_nobody_who_is_not_listed() -> None:
    with ingress(smtp_networks="10.0.0.0/8") as running, Raw(running.port) as raw:
        assert raw.say(b"MAIL FROM:<ann@example.com>") == str(replies.NO_RELAY)
        assert raw.say(b"RCPT TO:<ben@example.org>") == "503 Error: need MAIL command"
        assert raw.say(b"DATA") == "503 Error: need RCPT command"
        assert raw.say(b"HELO again").startswith("250")
        assert raw.say(b"MAIL FROM:<ann@example.com>") == str(replies.NO_RELAY)
        assert running.counts.refused["relay"] == 2


def test_mails_are_from_listed_senders_alone() -> None:
    with ingress(smtp_senders="example.com,alerts@example.org") as running, Raw(running.port) as raw:
        assert raw.say(b"MAIL FROM:<eve@example.org>") == str(replies.SENDER_NOT_ALLOWED)
        raw.envelope()
        assert raw.data(MAIL.replace(b"ann@", b"eve@evil.example, ann@")) == str(replies.FROM_NOT_ALLOWED)
        raw.envelope(sender=b"alerts@example.org")
        assert raw.data(MAIL).startswith("250")
        [message] = running.outbox.messages
        assert message.feedback_to == "alerts@example.org"


def test_a_client_that_goes_too_fast_is_asked_to_wait() -> None:
    with ingress(smtp_rate=2) as running, Raw(running.port) as raw:
        raw.envelope(b"a@example.org", b"b@example.org", b"c@example.org")
        assert raw.data(MAIL).startswith("250")
        reply = raw.say(b"MAIL FROM:<ann@example.com>")
        assert reply.startswith("450 4.7.1 Too many recipients a minute; again in ")
        assert running.counts.recipients == 3


def test_clients_beyond_the_bound_are_sent_away_and_room_is_made_again() -> None:
    with ingress(smtp_connections=2) as running:
        with Raw(running.port) as first, Raw(running.port) as second:
            with Raw(running.port, greeted=False) as third:
                assert third.reply() == str(replies.CONNECTIONS)
                assert third.reply() == ""
            assert first.say(b"NOOP").startswith("250")
            assert second.say(b"QUIT").startswith("221")
            wait_for(lambda: is_greeted(running.port))
        assert running.counts.refused["connections"] >= 1


def test_a_crowd_that_comes_at_once_finds_no_more_room() -> None:
    with ingress(smtp_connections=2) as running, ExitStack() as clients:
        gate = threading.Event()
        running.loop.call_soon_threadsafe(gate.wait, 20)
        crowd = [clients.enter_context(Raw(running.port, greeted=False)) for _ in range(8)]
        gate.set()
        greetings = [one.reply() for one in crowd]
        assert sum(greeting.startswith("220") for greeting in greetings) == 2
        assert greetings.count(str(replies.CONNECTIONS)) == 6


def test_at_its_end_who_waits_is_told_and_a_mail_under_way_is_answered_first() -> None:
    with ingress() as running:
        running.outbox.may_answer.clear()
        port = running.port
        with Raw(port) as idle, Raw(port) as sending, Raw(port) as writing:
            sending.envelope()
            assert sending.say(b"DATA").startswith("354")
            sending.socket.sendall(MAIL + b".\r\n")
            writing.envelope(b"other@example.org")
            assert writing.say(b"DATA").startswith("354")
            writing.socket.sendall(MAIL)
            assert running.outbox.asked.wait(PATIENCE)
            running.tell_to_stop()
            assert idle.reply() == str(replies.STOPPING)
            assert idle.reply() == ""
            with pytest.raises(ConnectionRefusedError):
                Raw(port)
            running.outbox.may_answer.set()
            for client, rest in ((sending, b""), (writing, b".\r\n")):
                client.socket.sendall(rest)
                assert client.reply().startswith("250 2.0.0 queued as")
                assert client.reply() == str(replies.STOPPING)
                assert client.reply() == ""
        running.stop()
        assert len(running.outbox.messages) == 2


def test_a_mail_that_takes_too_long_to_come_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.1)
    with ingress() as running, Raw(running.port) as slow:
        slow.envelope()
        assert slow.say(b"DATA").startswith("354")
        running.tell_to_stop()
        assert slow.reply() == str(replies.STOPPING)
        running.stop()
        assert running.outbox.messages == []


def test_no_mail_is_taken_before_redis_was_found_fit() -> None:
    with ingress() as running, Raw(running.port) as raw:
        running.counts.ready = False
        assert raw.say(b"MAIL FROM:<ann@example.com>") == str(replies.AWAY)
        running.counts.ready = True
        assert raw.say(b"MAIL FROM:<ann@example.com>").startswith("250")


def test_a_line_that_never_ends_is_cut_off_where_a_mail_is_too_large() -> None:
    with ingress(smtp_max_size=100_000) as running, Raw(running.port) as raw, Raw(running.port) as other:
        raw.envelope()
        assert raw.say(b"DATA").startswith("354")
        raw.socket.sendall(b"x" * 100_001)
        assert raw.reply() == str(replies.LARGE)
        assert raw.reply() == ""
        other.envelope()
        assert other.data(MAIL).startswith("250")


def test_a_mail_that_comes_slowly_has_time_while_it_comes() -> None:
    with ingress() as running, Raw(running.port) as raw:
        [session] = running.ingress._open
        raw.envelope()
        assert raw.say(b"DATA").startswith("354")
        began = session._timeout_handle
        raw.socket.sendall(MAIL)
        wait_for(lambda: session._timeout_handle is not began)
        assert began.cancelled()
        raw.socket.sendall(b".\r\n")
        assert raw.reply().startswith("250")
