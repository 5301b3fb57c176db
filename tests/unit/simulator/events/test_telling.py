"""What the fixture ses_simulator makes of a mail for an app's test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.fixture import SesSimulator
from rq_ses_worker.simulator.options import DEFAULT_CREDENTIAL
from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.simulated import send

from .conftest import App


@pytest.fixture
def ses(tmp_path: Path, signer: Signer) -> SesSimulator:
    server = SimulatorServer()
    server.publisher.topic._made = signer
    send(server._service, cc=["ben@example.com"])
    return SesSimulator(server, DEFAULT_CREDENTIAL, "us-east-1", tmp_path)


def test_a_bounce_a_complaint_and_a_delivery_are_about_the_mail(ses: SesSimulator, app: App) -> None:
    [mail] = ses.mails
    for made in (ses.bounce(mail), ses.complain(mail), ses.delivered(mail), ses.event("DeliveryDelay", mail)):
        assert made.to(app).taken
        assert made.event["mail"]["messageId"] == mail.message_id
        assert made.event["mail"]["destination"] == ["anna@example.com", "ben@example.com"]
    assert app.kinds == ["Bounce", "Complaint", "Delivery", "DeliveryDelay"]


def test_all_of_it_can_be_otherwise(ses: SesSimulator) -> None:
    made = ses.bounce(
        ses.mails[0],
        recipients=["ben@example.com"],
        about={"bounceType": "Transient"},
        form="notification",
        signature="2",
    )
    assert made.event["notificationType"] == made.kind == "Bounce"
    assert made.event["bounce"]["bounceType"] == "Transient"
    assert [one["emailAddress"] for one in made.event["bounce"]["bouncedRecipients"]] == ["ben@example.com"]
    assert json.loads(made.body)["SignatureVersion"] == "2"
    assert "Type" not in json.loads(ses.bounce(ses.mails[0], raw=True).body)


def test_the_certificate_is_a_file_that_is_named_as_in_its_address(ses: SesSimulator) -> None:
    url = json.loads(ses.bounce(ses.mails[0]).body)["SigningCertURL"]
    assert Path(ses.certificate).name == url.rpartition("/")[2]
    assert Path(ses.certificate).read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert ses.topic == "arn:aws:sns:us-east-1:123456789012:ses-events"


def test_a_mail_of_another_account_is_refused(ses: SesSimulator) -> None:
    @dataclass
    class Other:
        message_id: str = "0100-other"

    with pytest.raises(ValueError, match="'0100-other' isn't among"):
        ses.bounce(Other())
    with pytest.raises(ValueError, match="is never told by an identity notification"):
        ses.event("Send", ses.mails[0], form="notification")


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({"form": "x"}, "events_form"),
        ({"colour": 1}, "'colour' is none of"),
        ({"repeat": -1}, "events_repeat"),
    ],
)
def test_a_way_that_makes_no_sense_is_refused(ses: SesSimulator, way: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ses.post_events_to("http://127.0.0.1:1/", **way)


def test_events_that_werent_taken_are_told(ses: SesSimulator) -> None:
    with pytest.raises(AssertionError, match="1 events were not taken within 0 s: none was told"):
        ses.wait_for_events(timeout=0)
