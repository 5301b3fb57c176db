"""What a reader gets of a Django mail: the same through the queue as from Django's SMTP backend."""

from __future__ import annotations

import pytest
from redis import Redis

from rq_ses_worker.engine.burst import deliver
from rq_ses_worker.simulator.server import SimulatorServer
from rq_ses_worker.simulator.settings import REGION
from support.django_project.forms import FORMS, SIMPLE
from support.django_project.parts import by_ses, by_smtp
from support.django_project.project import sending
from support.programs.processes import KEY_ID, SECRET, TOKEN


def delivered(redis_url: str, ses: SimulatorServer) -> list[dict[str, object]]:
    """Run a worker until all is sent, and return SES's requests."""
    deliver(
        redis_url, base_url=ses.url, region=REGION.default,
        access_key_id=KEY_ID, secret_access_key=SECRET, session_token=TOKEN,
    )  # fmt: skip
    return [mail.request for mail in ses.mails]


@pytest.mark.parametrize("name", FORMS)
def test_a_mail_reaches_its_reader_as_by_smtp(name: str, redis_url: str, ses: SimulatorServer) -> None:
    mail = FORMS[name]()
    with sending():
        assert mail.send() == 1
    requests = delivered(redis_url, ses)
    assert by_ses(requests) == by_smtp(FORMS[name]())
    assert ("Simple" in requests[0]["Content"]) is (name in SIMPLE)
    assert len(requests) == -(-len(mail.recipients()) // 50)
    assert len(mail.rq_ses_receipts) == len(requests)
    assert mail.rq_ses_receipt == mail.rq_ses_receipts[0]


@pytest.mark.parametrize("name", FORMS)
def test_a_mail_made_again_under_its_key_is_the_same_mail(name: str, redis: Redis) -> None:
    first, second = FORMS[name](), FORMS[name]()
    with sending():
        for mail in (first, second):
            mail.rq_ses = {"key": "order-4711"}
            assert mail.send() == 1
    assert [one.job_id for one in first.rq_ses_receipts] == [one.job_id for one in second.rq_ses_receipts]
    assert not any(one.duplicate for one in first.rq_ses_receipts)
    assert all(one.duplicate for one in second.rq_ses_receipts)
