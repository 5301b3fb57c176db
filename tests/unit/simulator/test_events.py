"""The events and the signed bodies that the simulator makes: as AWS writes and signs them."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from rq_ses_worker.simulator.events.event import KINDS, NOTIFIED, Form, Sent, event
from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.events.topic import Topic, stamp

OBJECTS = {"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"}


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.make()


def verify(topic: Topic, body: dict[str, Any], signed: str) -> None:
    """Check a signature by AWS's recipe, written down once more. Raises InvalidSignature."""
    key = load_pem_x509_certificate(topic.signer.certificate).public_key()
    assert isinstance(key, RSAPublicKey)
    used = SHA1() if topic.version == "1" else SHA256()
    key.verify(b64decode(body["Signature"]), signed.encode(), PKCS1v15(), used)


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_notification_is_signed_over_its_members_in_their_order(signer: Signer, version: Any) -> None:
    topic = Topic(signer=signer, version=version)
    body = json.loads(
        topic.notification("text", subject="S", message_id="m", at=datetime(2026, 1, 2, tzinfo=UTC))
    )
    assert body["SigningCertURL"] == f"https://sns.us-east-1.amazonaws.com/{signer.name}"
    assert body["SignatureVersion"] == version
    verify(
        topic, body,
        "Message\ntext\nMessageId\nm\nSubject\nS\nTimestamp\n2026-01-02T00:00:00.000Z\n"
        f"TopicArn\n{topic.arn}\nType\nNotification\n",
    )  # fmt: skip


def test_the_confirmations_are_signed_over_their_address_and_token(signer: Signer) -> None:
    topic = Topic(signer=signer, arn="arn:aws-cn:sns:cn-north-1:123456789012:t", version="2")
    for made in (topic.subscription_confirmation(token="t"), topic.unsubscribe_confirmation(token="t")):
        body = json.loads(made)
        assert body["SubscribeURL"].startswith("https://sns.cn-north-1.amazonaws.com.cn/?Action=")
        members = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        verify(topic, body, "".join(f"{name}\n{body[name]}\n" for name in members))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_the_mail_and_an_object_of_its_own(kind: str) -> None:
    told = event(kind, Sent(tags={"rq-ses-job": "j"}))
    assert told["eventType"] == kind
    assert told["mail"]["tags"]["rq-ses-job"] == ["j"]
    assert OBJECTS.get(kind, kind.lower()) in told


@pytest.mark.parametrize("kind", sorted(NOTIFIED))
def test_identity_notifications_have_neither_tags_nor_headers(kind: str) -> None:
    told = event(kind, Sent(tags={"rq-ses-job": "j"}), form="notificationType")
    assert told["notificationType"] == kind
    assert {"tags", "headers", "commonHeaders"} & told["mail"].keys() == set()


@pytest.mark.parametrize("form", ["eventType", "notificationType"])
def test_an_event_is_written_with_a_line_feed_at_its_end(signer: Signer, form: Form) -> None:
    body = json.loads(Topic(signer=signer).notification(event("Bounce", Sent(), form=form)))
    assert body["Message"].endswith("}\n")
    assert ("Subject" in body) == (form == "eventType")


def test_members_can_be_otherwise_or_missing() -> None:
    told = event(
        "Bounce",
        Sent(),
        recipients=["c@example.net"],
        about={"bounceType": "Transient", "reportingMTA": None},
    )
    assert told["bounce"]["bounceType"] == "Transient"
    assert "reportingMTA" not in told["bounce"]
    assert [one["emailAddress"] for one in told["bounce"]["bouncedRecipients"]] == ["c@example.net"]


def test_no_identity_is_notified_of_a_click() -> None:
    with pytest.raises(ValueError, match="is never told by an identity notification"):
        event("Click", Sent(), form="notificationType")


def test_a_time_is_written_in_milliseconds() -> None:
    assert stamp(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)) == "2026-01-02T03:04:05.678Z"
