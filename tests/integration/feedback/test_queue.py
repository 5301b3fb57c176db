"""A queue of SQS that is read: signed requests, and nothing is deleted before it is stored."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rq_ses.feedback.certificates import Certificates
from rq_ses.feedback.receiver import Answer, Receiver
from rq_ses.feedback.store import Store
from rq_ses.feedback.topic import Topic as Listed
from rq_ses.server.location import Location
from rq_ses_worker.feedback.reader import LONGEST_PAUSE, QueueReader
from rq_ses_worker.feedback.sqs import QueuedMessage, SqsClient, SqsRefused
from rq_ses_worker.ses.credentials import Credentials, StaticCredentials
from rq_ses_worker.settings.feedback import SqsQueue
from rq_ses_worker.simulator.events.event import Sent, event
from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.events.topic import Topic
from support.programs.processes import KEY_ID, SECRET, TOKEN
from support.servers.ports import free_port
from support.ses.sqs import SqsStandIn

MAIL = Sent(message_id="0100-m", tags={"rq-ses-job": "job1"})


class Told:
    """Notes what a reader reports."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.lefts: list[tuple[int, str]] = []
        self.troubles: list[str] = []

    def answered(self, answer: Answer) -> None:
        self.words.append(answer.word)

    def left(self, message: QueuedMessage, answer: Answer) -> None:
        self.lefts.append((message.times, answer.text))

    def away(self, why: str) -> None:
        self.troubles.append(why)

    def back(self) -> None:
        pass


class World:
    """A queue, what reads it, and the topic that fills it."""

    def __init__(self, sqs: SqsStandIn, redis_url: str, topic: Topic) -> None:
        self.sqs, self.topic, self.told = sqs, topic, Told()
        self.pauses: list[float] = []
        self.stop = threading.Event()
        self.redis_url = redis_url
        self.client = client(sqs.url)
        self.reader = self.reading(redis_url)

    def reading(self, redis_url: str, **how: Any) -> QueueReader:
        listed = Listed.read(self.topic.arn)
        certificates = Certificates(fetch=lambda _: self.topic.signer.certificate)
        receiver = Receiver(
            {listed.arn: listed}, certificates, Store.at(Location(redis_url, None), ""), **how
        )
        patient = _Brief(self.client)
        return QueueReader(patient, receiver, self.told, self.stop, self.pauses.append)


class _Brief:
    """A client that doesn't wait for messages."""

    def __init__(self, client: SqsClient) -> None:
        self._client = client
        self.delete = client.delete

    def receive(self) -> list[QueuedMessage]:
        return self._client.receive(0)


def client(url: str, secret: str = SECRET) -> SqsClient:
    credentials = StaticCredentials(Credentials(KEY_ID, secret, TOKEN))
    return SqsClient(SqsQueue.read(url), "us-east-1", credentials)


@pytest.fixture(scope="module")
def topic() -> Topic:
    return Topic(signer=Signer.make(), version="2")


@pytest.fixture
def world(redis_url: str, topic: Topic) -> Iterator[World]:
    with SqsStandIn() as sqs:
        made = World(sqs, redis_url, topic)
        yield made
        made.client.close()


def test_what_is_stored_is_deleted_and_each_event_is_stored_once(world: World) -> None:
    told = [event("Send", MAIL), event("Bounce", MAIL)]
    world.sqs.put(*(world.topic.notification(one) for one in [*told, told[1]]))
    world.reader.read_once()
    assert sorted(world.told.words) == ["repeated", "stored", "stored"]
    assert world.sqs.left == []
    assert [action for action, _ in world.sqs.calls] == ["ReceiveMessage", "DeleteMessageBatch"]
    assert world.sqs.refused == world.told.troubles == []
    world.reader.read_once()
    assert [action for action, _ in world.sqs.calls][2:] == ["ReceiveMessage"]


def test_more_than_ten_are_taken_in_turns(world: World) -> None:
    world.sqs.put(
        *(
            world.topic.notification(event("Open", MAIL, about={"timestamp": f"2026-01-01T00:00:{n:02}Z"}))
            for n in range(23)
        )
    )
    for _ in range(3):
        world.reader.read_once()
    assert (world.told.words, len(world.sqs.deleted)) == (["stored"] * 23, 23)


def test_a_message_that_nobody_can_read_is_told_and_left(world: World) -> None:
    stranger = Topic(arn=world.topic.arn + "2", signer=world.topic.signer)
    world.sqs.put("not JSON", stranger.notification("x"), world.topic.notification(event("Bounce", MAIL)))
    for _ in range(2):
        world.reader.read_once()
        world.sqs.show()
    assert [times for times, _ in world.told.lefts] == [1, 1, 2, 2]
    assert "no message of SNS's" in world.told.lefts[0][1]
    assert (len(world.sqs.left), len(world.sqs.deleted)) == (2, 1)


def test_without_redis_nothing_is_deleted_and_the_reader_waits_longer_and_longer(world: World) -> None:
    reader = world.reading(f"redis://127.0.0.1:{free_port()}/0")
    world.sqs.put(world.topic.notification(event("Bounce", MAIL)))
    paused = []
    for _ in range(8):
        reader.read_once()
        world.sqs.show()
        paused.append(reader._pause)
    assert (world.told.words, world.sqs.deleted) == (["unstored"] * 8, [])
    assert paused == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    world.reader.read_once()
    assert (world.told.words[-1], world.sqs.left) == ("stored", [])


def test_raw_delivery_is_told_with_its_remedy_and_taken_where_somebody_allows_it(world: World) -> None:
    world.sqs.put(json.dumps(event("Bounce", MAIL)))
    world.reader.read_once()
    assert (world.told.words, len(world.sqs.left)) == (["unchecked"], 1)
    world.sqs.show()
    world.reading(world.redis_url, raw=True).read_once()
    assert (world.told.words, world.sqs.left) == (["unchecked", "stored"], [])


def test_a_deletion_that_fails_is_made_up_for_when_the_message_comes_again(world: World) -> None:
    world.sqs.fail = {
        "DeleteMessageBatch": [(500, {"__type": "InternalFailure"}), (200, {"Failed": [{"Id": "0"}]})]
    }
    world.sqs.put(world.topic.notification(event("Bounce", MAIL)))
    for _ in range(3):
        world.reader.read_once()
        world.sqs.show()
    assert world.told.words == ["stored", "repeated", "repeated"]
    assert world.told.troubles == [
        "DeleteMessageBatch: InternalFailure (HTTP 500)",
        "DeleteMessageBatch: 1 messages were not deleted",
    ]
    assert world.sqs.left == []


def test_a_wrong_key_is_told_without_it(world: World) -> None:
    with pytest.raises(
        SqsRefused, match=r"ReceiveMessage: InvalidSignatureException: it doesn't match"
    ) as caught:
        client(world.sqs.url, "another/secret/0123456789abcdef").receive(0)
    assert "another/secret" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [(200, "<html>"), (200, "[]"), (200, ""), (404, "nothing"), (200, '{"Messages": [3, {}, {"Body": 3}]}')],
)
def test_odd_answers_are_no_messages(world: World, answer: Any) -> None:
    world.sqs.fail = {"ReceiveMessage": [answer]}
    try:
        assert world.client.receive(0) == []
    except SqsRefused as exc:
        assert str(exc).startswith("ReceiveMessage: ")  # noqa: PT017


def test_a_server_that_is_away_is_tried_again(world: World) -> None:
    away = client(f"http://127.0.0.1:{free_port()}/123456789012/q")
    with pytest.raises(SqsRefused, match=r"ReceiveMessage: ConnectionRefused: The host refused"):
        away.receive(0)


def test_a_reader_ends_when_it_is_told(world: World) -> None:
    world.sqs.fail = {"ReceiveMessage": [(500, "")] * 2}
    world.pauses = []
    reader = world.reading(world.redis_url)
    reader._wait = lambda seconds: (world.pauses.append(seconds), len(world.pauses) > 1 and world.stop.set())
    reader.run()
    assert world.pauses == [1, 2]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/ses", "eu-central-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/ses.fifo", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/ses", "cn-north-1"),
        ("https://sqs-fips.us-east-1.amazonaws.com/123456789012/ses", "us-east-1"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/ses", "eu-west-1"),
        ("https://vpce-0a-1b.sqs.us-east-1.vpce.amazonaws.com/123456789012/ses", "us-east-1"),
        ("http://localhost:9324/123456789012/ses", ""),
    ],
)
def test_a_queues_url_names_its_region(url: str, region: str) -> None:
    assert SqsQueue.read(url).region == region


@pytest.mark.parametrize(
    "url",
    ["http://sqs.us-east-1.amazonaws.com/123456789012/ses", "https://sqs.us-east-1.amazonaws.com/",
     "https://sqs.us-east-1.amazonaws.com/1/ses", "arn:aws:sqs:us-east-1:123456789012:ses",
     "https://user:secret@sqs.us-east-1.amazonaws.com/123456789012/ses"],
)  # fmt: skip
def test_what_is_no_queues_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        SqsQueue.read(url)
    assert "secret" not in str(caught.value)
