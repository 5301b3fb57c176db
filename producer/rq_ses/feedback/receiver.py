"""Take what SNS brings: check it, read it, store it, and say what SNS is to be answered.

SNS repeats what was answered with 5xx, or not at all, for an hour at most; a 4xx ends it, uncounted. So 4xx
is for what certainly isn't ours, and 5xx for what couldn't be checked or stored.
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from redis.exceptions import RedisError

from rq_ses.feedback import envelope as envelopes
from rq_ses.feedback.certificates import Certificates, Unavailable
from rq_ses.feedback.envelope import Envelope, NotAnEnvelope, opened, read_json
from rq_ses.feedback.event import FORMS, Event, NoEvent, read_event
from rq_ses.feedback.fetching import NotFetched, fetch
from rq_ses.feedback.signature import VERSIONS, Forged, Unsupported, check_signature
from rq_ses.feedback.store import Stored
from rq_ses.feedback.topic import ElsewhereError, Topic
from rq_ses.server.refusal import read_refusal

Word = Literal[
    "stored",
    "repeated",
    "noted",
    "unread",
    "confirmed",
    "unconfirmed",
    "ended",
    "refused",
    "unchecked",
    "unstored",
]

RAW: Final = (
    "raw message delivery is on, so nothing says who sent this: switch it off (aws sns "
    "set-subscription-attributes --subscription-arn ARN --attribute-name RawMessageDelivery "
    "--attribute-value false)"
)

AWAY: Final = "Redis does not answer"
_LATER: Final = "it can't be checked or stored now: send it again"
_VALIDATED: Final = "Successfully validated SNS topic for Amazon SES event publishing."
_SUBSCRIBED: Final = "AmazonSnsSubscriptionSucceeded"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message is answered with, and what became of it.

    Attributes:
        status: of HTTP.
        word: what became of it, for logs and counts.
        text: a sentence about it for the log, which holds nothing of what a stranger wrote.
        topic: the ARN of its topic, once that is known to be ours.
        event: what it told of.
        job_id: of the mail it is about, where that is known.
        resolved: what became of a mail in doubt.
    """

    status: int
    word: Word
    text: str
    topic: str = ""
    event: Event | None = None
    job_id: str = ""
    resolved: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it needn't come again."""
        return self.status < 300

    @property
    def said(self) -> str:
        """The sentence that whoever sent it is told: nothing of our hosts, and no token."""
        if self.word == "unconfirmed":
            return "the subscription waits to be confirmed"
        return self.text if self.status < 500 or self.text in (RAW, AWAY) else _LATER


class Stores(Protocol):
    """Where events go (rq_ses.feedback.store.Store)."""

    def store(self, event: Event) -> Stored:
        """Store an event once. Raises RedisError."""


class Receiver:
    """Takes messages of listed topics; threads may share an object.

    Args:
        topics: those that are ours, by their ARNs: a signature only proves that somebody's SNS sent it.
        certificates: what signatures are checked by.
        store: where events go.
        confirm: whether subscriptions of these topics are confirmed by themselves.
        raw: whether events without an envelope are taken, because something else says who sent them.
        fetch: gets an address that has been checked. It may raise NotFetched.
    """

    def __init__(
        self,
        topics: Mapping[str, Topic],
        certificates: Certificates,
        store: Stores,
        *,
        confirm: bool = True,
        raw: bool = False,
        fetch: Callable[[str], bytes] = fetch,
    ) -> None:
        self._topics = topics
        self._certificates = certificates
        self._store = store
        self._confirm = confirm
        self._raw = raw
        self._fetch = fetch

    def receive(self, body: bytes, *, raw: bool = False) -> Answer:
        """Take a message, and return what it is answered with; nothing that is in it raises.

        Args:
            body: as it came.
            raw: whether SNS says that it comes without its envelope (x-amz-sns-rawdelivery); if it has
                one all the same, that counts.
        """
        try:
            told = read_json(body)
            bare = _is_bare(told)
            if bare and self._raw:
                return self._event(told, "")
            if bare:
                return Answer(503, "unchecked", RAW)
            return self._enveloped(opened(told))
        except NotAnEnvelope as exc:
            return (
                Answer(503, "unchecked", RAW)
                if raw
                else Answer(400, "refused", f"no message of SNS's: {exc}")
            )

    def _enveloped(self, envelope: Envelope) -> Answer:
        topic = self._topics.get(envelope.topic_arn)
        if topic is None:
            return Answer(
                403, "refused", "its topic isn't listed: add it to RQ_SES_FEEDBACK_TOPICS if it is yours"
            )
        try:
            self._check(envelope, topic)
        except (ElsewhereError, Forged) as exc:
            return Answer(403, "refused", f"not sent by SNS: {exc}", topic.arn)
        except (Unavailable, Unsupported) as exc:
            return Answer(503, "unchecked", f"it can't be checked now: {exc}", topic.arn)
        if envelope.type == envelopes.SUBSCRIPTION:
            return self._subscribe(envelope, topic)
        if envelope.type == envelopes.UNSUBSCRIPTION:
            return Answer(200, "ended", "a subscription has ended: no more events come by it", topic.arn)
        return self._notified(envelope.message, topic.arn)

    def _check(self, envelope: Envelope, topic: Topic) -> None:
        name = topic.certificate(envelope.certificate_url)
        if envelope.version not in VERSIONS:
            raise Unavailable("its SignatureVersion is unknown: set the topic's to 2, or update rq-ses")
        check_signature(envelope, self._certificates.key(envelope.certificate_url, name))

    def _subscribe(self, envelope: Envelope, topic: Topic) -> Answer:
        try:
            topic.check_confirmation(envelope.subscribe_url)
        except ElsewhereError as exc:
            return Answer(403, "refused", f"not confirmed: {exc}", topic.arn)
        if not self._confirm:
            text = f"the subscription waits to be confirmed: curl '{envelope.subscribe_url}'"
            return Answer(200, "unconfirmed", text, topic.arn)
        try:
            self._fetch(envelope.subscribe_url)
        except NotFetched as exc:
            return Answer(503, "unchecked", f"the subscription can't be confirmed now: {exc}", topic.arn)
        return Answer(200, "confirmed", "the subscription is confirmed", topic.arn)

    def _notified(self, message: str, topic: str) -> Answer:
        if message.strip() == _VALIDATED:
            return Answer(200, "noted", "SES has found its way to the topic", topic)
        try:
            return self._event(read_json(message), topic)
        except NotAnEnvelope as exc:
            return Answer(200, "unread", f"what the topic brought is no event of SES's: {exc}", topic)

    def _event(self, told: Any, topic: str) -> Answer:
        if isinstance(told, dict) and told.get("notificationType") == _SUBSCRIBED:
            return Answer(200, "noted", "SES has found its way to the topic", topic)
        try:
            event = read_event(told)
        except NoEvent as exc:
            return Answer(200, "unread", f"what the topic brought is no event of SES's: {exc}", topic)
        try:
            stored = self._store.store(event)
        except (RedisError, OSError) as exc:
            return Answer(503, "unstored", _why(exc), topic, event, event.job_id)
        answer = Answer(200, "stored", "stored", topic, event, stored.job_id, stored.resolved)
        return answer if stored.new else replace(answer, word="repeated", text="stored already")


def _is_bare(told: Any) -> bool:
    """Tell whether it is an event of SES's itself, without SNS's envelope."""
    return isinstance(told, dict) and "Type" not in told and any(form in told for form in FORMS)


def _why(exc: RedisError | OSError) -> str:
    refusal = read_refusal(exc)
    remedy = f": {refusal.remedy}" if refusal.remedy else ""
    return f"Redis {'is away' if refusal.passes else 'refuses'} ({refusal.reason}){remedy}"
