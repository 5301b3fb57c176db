"""What the simulator keeps, how much of it, and whom it shows it to."""

from __future__ import annotations

import json

import pytest

from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.records.inbox import Inbox, Mail
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web import router
from rq_ses_worker.simulator.web.request import WebRequest


def _mail(body: bytes = b"{}") -> Mail:
    return Mail(
        at=1.0,
        monotonic=1.0,
        message_id="0100",
        sender="a@example.com",
        recipients=("b@example.com",),
        attempt=1,
        events={},
        body=body,
    )


def test_large_mails_push_older_ones_out_and_the_last_one_stays() -> None:
    inbox = Inbox(keep=100, max_body_bytes=1000)
    for _ in range(5):
        inbox.add_mail(_mail(b"x" * 400))
    assert [mail.number for mail in inbox.mails()] == [4, 5]
    inbox.add_mail(_mail(b"x" * 5000))
    assert [mail.number for mail in inbox.mails()] == [6]
    inbox.add_mail(_mail(b"x" * 400))
    assert [mail.number for mail in inbox.mails()] == [7]
    assert inbox.stats()["mails"] == 7


def test_attempts_are_counted_for_each_body() -> None:
    inbox = Inbox(keep=1)
    assert [inbox.attempt(digest) for digest in ("a", "b", "a", "a")] == [1, 1, 2, 3]


def test_a_mail_shows_its_request_and_not_its_raw_body() -> None:
    mail = _mail(b'{"FromEmailAddress": "a@example.com"}')
    assert mail.request == mail.as_dict()["request"] == {"FromEmailAddress": "a@example.com"}
    assert "FromEmailAddress" not in repr(mail)


@pytest.mark.parametrize(
    ("peer", "hosts", "status"),
    [
        ("127.0.0.1", ["127.0.0.1:4579"], 200),
        ("::1", ["[::1]:4579"], 200),
        ("::ffff:127.0.0.1", ["localhost"], 200),
        ("10.0.0.5", ["127.0.0.1:4579"], 403),
        ("::ffff:10.0.0.5", ["localhost"], 403),
        ("", ["localhost"], 403),
        ("127.0.0.1", [], 403),
        ("127.0.0.1", ["localhost", "attacker.example"], 403),
        ("127.0.0.1", ["[::1].attacker.example"], 403),
        ("127.0.0.1", ["localhost@attacker.example"], 403),
    ],
)
def test_records_are_shown_to_this_machine_under_its_own_name(
    peer: str, hosts: list[str], status: int
) -> None:
    service = Service(Options())
    shown = router.respond(service, WebRequest("GET", b"/_simulator/mails", {"host": hosts}, peer))
    assert shown.status == status
    assert (json.loads(shown.body) == {"mails": []}) is (status == 200)
    service.inbox.add_mail(_mail())
    forget = WebRequest("DELETE", b"/_simulator", {"host": hosts}, peer)
    assert router.respond(service, forget).status == status
    assert len(service.inbox.mails()) == (0 if status == 200 else 1)
