"""What SNS's requests are answered with, genuine or not: 5xx wherever a repetition could still be stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from rq_ses_worker.simulator.events.event import KINDS, NOTIFIED, Form, Sent, event
from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.events.topic import Topic

from .conftest import ARN, World

MAIL = Sent(message_id="0100-m", tags={"rq-ses-job": "job1"})
MakeWorld = Callable[..., World]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("form", "kind"),
    [("eventType", kind) for kind in KINDS] + [("notificationType", kind) for kind in sorted(NOTIFIED)],
)
def test_every_kind_in_both_forms_and_versions_is_stored(
    make_world: MakeWorld, version: str, form: Form, kind: str
) -> None:
    world = make_world(version=version)
    answer = world.receive(world.topic.notification(event(kind, MAIL, form=form)))
    assert (answer.status, answer.word, answer.topic) == (200, "stored", ARN)
    (stored,) = world.events
    assert (stored.kind, stored.form, stored.message_id, stored.is_known) == (kind, form, "0100-m", True)
    assert stored.job_id == ("job1" if form == "eventType" else "")
    assert stored.at > 0


@pytest.mark.parametrize(
    "arn",
    ["arn:aws-cn:sns:cn-north-1:123456789012:t", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:t",
     "arn:aws-eusc:sns:eusc-de-east-1:123456789012:t"],
)  # fmt: skip
def test_topics_of_other_partitions_are_served_by_their_own_hosts(make_world: MakeWorld, arn: str) -> None:
    world = make_world(arn=arn)
    assert world.receive(world.topic.notification(event("Send", MAIL))).status == 200
    assert world.fetched == [world.topic.certificate_url]


def test_a_subject_and_its_absence_are_signed_alike(world: World) -> None:
    told = json.dumps(event("Send", MAIL))
    for subject in (None, "Amazon SES Email Event Notification", "Ünïcode \N{LINE FEED}"):
        assert world.receive(world.topic.notification(told, subject=subject)).status == 200
    assert world.tampered(world.topic.notification(told), Subject=None).status == 200


@pytest.mark.parametrize(
    "members",
    [
        {"Message": "{}"},
        {"Message": json.dumps(event("Send", MAIL))},
        {"Subject": "another"},
        {"Timestamp": "2020-01-01T00:00:00.000Z"},
        {"MessageId": "another"},
        {"Signature": ""},
        {"Signature": "AAAA"},
        {"Signature": "no base64!"},
        {"Signature": "ü"},
        {"SignatureVersion": "2"},
        {"Message": "\ud800"},
    ],
)
def test_what_is_changed_on_its_way_is_refused(world: World, members: dict[str, str]) -> None:
    answer = world.tampered(world.topic.notification(event("Bounce", MAIL)), **members)
    assert (answer.status, answer.word) == (403, "refused")
    assert world.events == []


def test_a_stripped_line_feed_is_a_change(world: World) -> None:
    body = json.loads(world.topic.notification(event("Bounce", MAIL)))
    assert world.tampered(json.dumps(body).encode(), Message=body["Message"].rstrip()).status == 403


def test_another_ones_key_is_refused_whatever_it_signs(world: World) -> None:
    forger = Topic(arn=ARN, signer=Signer(Signer.make().key, b"", world.topic.signer.name))
    answer = world.receive(forger.notification(event("Complaint", MAIL)))
    assert (answer.status, answer.text) == (403, "not sent by SNS: its signature doesn't fit")


def test_a_certificate_elsewhere_is_not_even_fetched(world: World) -> None:
    for url in (
        "https://sns.us-east-1.evil.example/SimpleNotificationService-0.pem",
        "https://127.0.0.1/x.pem",
    ):
        assert world.tampered(world.topic.notification("x"), SigningCertURL=url).status == 403
    assert world.fetched == []


def test_a_topic_that_is_not_listed_is_refused_with_the_remedy(world: World) -> None:
    stranger = Topic(arn=ARN + "2", signer=world.topic.signer)
    answer = world.receive(stranger.notification(event("Bounce", MAIL)))
    assert answer.status == 403
    assert "add it to RQ_SES_FEEDBACK_TOPICS" in answer.text
    assert world.fetched == []


def test_what_cannot_be_checked_now_comes_again_and_is_stored_then(world: World) -> None:
    body = world.topic.notification(event("Bounce", MAIL))
    world.away.add("aws")
    assert [(a.status, a.word) for a in (world.receive(body), world.receive(body))] == [
        (503, "unchecked")
    ] * 2
    world.away.clear()
    assert world.receive(body).word == "stored"
    assert len(world.fetched) == 3


def test_an_unknown_version_cannot_be_checked(world: World) -> None:
    answer = world.tampered(world.topic.notification("x"), SignatureVersion="3")
    assert (answer.status, answer.word) == (503, "unchecked")
    assert "set the topic's to 2" in answer.text


def test_where_openssl_takes_no_sha1_the_remedy_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def barred(*_: object) -> None:
        raise UnsupportedAlgorithm("sha1 is not supported by this backend for RSA signing.")

    monkeypatch.setattr("rq_ses.feedback.signature.VERSIONS", {"1": barred})
    answer = world.receive(world.topic.notification("x"))
    assert (answer.status, answer.word) == (503, "unchecked")
    assert "set the topic's SignatureVersion to 2" in answer.text


def test_while_redis_is_away_sns_is_told_to_come_again(world: World) -> None:
    body = world.topic.notification(event("Bounce", MAIL))
    world.away.add("redis")
    answer = world.receive(body)
    assert (answer.status, answer.word, answer.job_id) == (503, "unstored", "job1")
    assert "Redis is away" in answer.text
    world.away.clear()
    assert world.receive(body).word == "stored"


def test_raw_delivery_is_refused_with_the_remedy(world: World) -> None:
    told = json.dumps(event("Bounce", MAIL)).encode()
    for answer in (world.receive(told, raw=True), world.receive(told), world.receive(b"text", raw=True)):
        assert (answer.status, answer.word) == (503, "unchecked")
        assert "RawMessageDelivery" in answer.text
    assert world.events == []


def test_raw_events_are_taken_where_something_else_says_who_sent_them(make_world: MakeWorld) -> None:
    world = make_world(raw=True)
    assert world.receive(json.dumps(event("Bounce", MAIL)).encode()).word == "stored"
    assert world.receive(world.topic.notification(event("Send", MAIL))).word == "stored"
    assert world.tampered(world.topic.notification("x"), Message="y").status == 403


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_listed_topics_subscription_is_confirmed(make_world: MakeWorld, version: str) -> None:
    world = make_world(version=version)
    body = world.topic.subscription_confirmation(token="t0k3n")
    assert world.receive(body).word == "confirmed"
    assert world.fetched[-1] == json.loads(body)["SubscribeURL"]
    world.away.add("aws")
    assert world.receive(body).status == 503


def test_no_other_subscription_is_confirmed(world: World) -> None:
    body = world.topic.subscription_confirmation()
    stranger = Topic(arn=ARN + "2", signer=world.topic.signer)
    assert world.receive(stranger.subscription_confirmation()).status == 403
    assert world.tampered(body, Token="another").status == 403
    assert world.tampered(body, SubscribeURL="https://127.0.0.1/").status == 403
    assert [url for url in world.fetched if "Action" in url] == []


def test_even_a_signed_address_elsewhere_is_not_asked(world: World) -> None:
    class Odd(Topic):
        def _signed(self, kind: str, about: dict[str, str], *rest: Any) -> dict[str, str]:
            return super()._signed(kind, about | {"SubscribeURL": "https://169.254.169.254/"}, *rest)

    answer = world.receive(Odd(arn=ARN, signer=world.topic.signer).subscription_confirmation())
    assert (answer.status, answer.word) == (403, "refused")
    assert world.fetched == [world.topic.certificate_url]


def test_who_confirms_by_hand_is_told_how(make_world: MakeWorld) -> None:
    world = make_world(confirm=False)
    body = world.topic.subscription_confirmation(token="t0k3n")
    answer = world.receive(body)
    assert (answer.status, answer.word) == (200, "unconfirmed")
    assert json.loads(body)["SubscribeURL"] in answer.text
    assert world.fetched == [world.topic.certificate_url]


def test_the_end_of_a_subscription_is_told(world: World) -> None:
    answer = world.receive(world.topic.unsubscribe_confirmation())
    assert (answer.status, answer.word) == (200, "ended")


@pytest.mark.parametrize(
    "message",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        "Successfully validated SNS topic for Amazon SES event publishing.\n",
        json.dumps({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have …"}),
    ],
)
def test_what_ses_says_when_it_finds_the_topic_is_no_event(world: World, message: str) -> None:
    answer = world.receive(world.topic.notification(message))
    assert (answer.status, answer.word, world.events) == (200, "noted", [])


@pytest.mark.parametrize(
    "message",
    ["hello", "", "[]", "null", "3", "{}", '{"mail": {"messageId": "m"}}', '{"eventType": "Bounce"}',
     '{"eventType": 3, "mail": {"messageId": "m"}}', '{"eventType": "Bounce", "mail": {"messageId": "a b"}}',
     "[" * 100_000, '{"a":' * 50_000, "1" * 10_000],
)  # fmt: skip
def test_what_is_no_event_is_told_loudly_and_comes_no_more(world: World, message: str) -> None:
    answer = world.receive(world.topic.notification(message))
    assert (answer.status, answer.word, world.events) == (200, "unread", [])


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"null", b"{}", b"\xff\xfe", b'{"Type": "Notification"}', b'{"Type": ["x"]}',
     b'{"Type": "Message"}', b"[" * 200_000, b'{"a":' * 100_000, b'{"Type": ' + b"9" * 10_000 + b"}"],
)  # fmt: skip
def test_what_is_no_message_of_snss_is_certainly_not_ours(world: World, body: bytes) -> None:
    answer = world.receive(body)
    assert (answer.status, answer.word) == (400, "refused")


@pytest.mark.parametrize(
    "name",
    ["MessageId", "TopicArn", "Message", "Timestamp", "Signature", "SignatureVersion", "SigningCertURL"],
)
@pytest.mark.parametrize("value", [None, 3, [], {}])
def test_members_of_another_type_are_refused(world: World, name: str, value: Any) -> None:
    assert world.tampered(world.topic.notification("x"), **{name: value}).status == 400


def test_a_kind_that_is_new_is_let_through(world: World) -> None:
    answer = world.receive(world.topic.notification(event("Teleported", MAIL)))
    assert (answer.status, answer.word) == (200, "stored")
    assert world.events[0].is_known is False


def test_an_answer_repeats_nothing_that_a_stranger_wrote(world: World) -> None:
    for body in (b"<script>", b'{"Type": "<script>"}'):
        assert "script" not in world.receive(body).text
    answer = world.tampered(world.topic.notification("x"), TopicArn="<script>", MessageId="<script>")
    assert "script" not in answer.text
