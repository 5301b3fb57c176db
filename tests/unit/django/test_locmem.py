"""The backend for a project's tests: what the queue wouldn't take fails there, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage, send_mail
from django.db import transaction

from support.django_project.project import MAILERS, WAYS, sending

LOCMEM = "rq_ses.django.LocmemBackend"


@pytest.fixture(autouse=True, params=WAYS)
def _mailer(request: pytest.FixtureRequest) -> Iterator[None]:
    mail.outbox = []  # type: ignore[attr-defined]
    with sending(request.param, backend=LOCMEM, queue="shop", priority="high"):
        yield


def outbox() -> list[Any]:
    found: list[Any] = mail.outbox  # type: ignore[attr-defined]
    return found


def test_a_mail_lands_in_djangos_outbox_with_its_terms() -> None:
    one = EmailMessage("S", "T", to=["anna@customer.example"])
    one.rq_ses = {"key": "k"}
    assert one.send() == 1
    one.subject = "later"
    [found] = outbox()
    assert (found.subject, found.rq_ses) == ("S", {"key": "k"})
    assert found.rq_ses_receipt is None
    if MAILERS:
        assert found.sent_using in ("default", None)


def test_what_ses_wouldnt_take_is_refused() -> None:
    with pytest.raises(ValueError, match="'nobody' is not an e-mail address"):
        send_mail("S", "T", None, ["nobody"])
    one = EmailMessage("S", "T", to=["anna@customer.example"])
    one.rq_ses = {"prority": "high"}
    with pytest.raises(ValueError, match="is no term"):
        one.send()
    assert outbox() == []


def test_a_transaction_doesnt_hold_it_back() -> None:
    from django.db import connection

    with transaction.atomic():
        send_mail("S", "T", None, ["anna@customer.example"])
        assert len(outbox()) == 1
    connection.close()
