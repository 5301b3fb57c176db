"""What is given up first when there is too much to keep."""

from __future__ import annotations

import pytest

from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.mails.mail import mail
from support.ses.simulated import PATH, ask, page, send, subjects, submit, told


def test_bodies_are_given_up_before_requests_are(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setattr("rq_ses_worker.simulator.records.inbox.MAX_RAW_BYTES", 3000)
    for number in range(5):
        submit(service, send_email_body(mail(subject=f"n{number}", text="x" * 1000)), secret="wrong")
    assert told(service, "/_simulator/stats")["requests"] == 5
    assert "headers" not in told(service, "/_simulator/requests/1")
    assert "headers" in told(service, "/_simulator/requests/5")
    assert "not kept any more" in page(service, "/_simulator/view/requests/1")
    assert subjects(page(service, "/"))[-1] == f"POST {PATH}"


def test_a_forgotten_mail_is_forgotten_by_its_id(service: Service) -> None:
    service = Service(Options(keep=1))
    send(service, subject="first")
    first = service.inbox.mails()[0].message_id
    send(service, subject="second")
    assert ask(service, f"/_simulator/mails/{first}").status == 404
    assert service.inbox.mail(first) is None
