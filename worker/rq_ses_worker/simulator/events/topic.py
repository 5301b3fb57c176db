"""A topic of SNS as its subscribers see it: the signed bodies that it posts.

https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from rq_ses.aws.regions import host
from rq_ses_worker.simulator.events.signer import SignatureVersion, Signer

PUBLISHED_SUBJECT: Final = "Amazon SES Email Event Notification"
"""What stands over the events that a configuration set publishes; identity notifications have no subject."""

_SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic that signs what it sends, as SNS does with a certificate of its own.

    Attributes:
        arn: its name, whose region is that of the certificate's host.
        signer: key and certificate.
        version: "1" is SHA1, a topic's default; "2" is SHA256.
    """

    arn: str = "arn:aws:sns:us-east-1:123456789012:ses-events"
    signer: Signer = field(default_factory=Signer.make)
    version: SignatureVersion = "1"

    @property
    def host(self) -> str:
        """Name of SNS's host in the topic's region."""
        return host("sns", self.arn.split(":")[3])

    @property
    def certificate_url(self) -> str:
        """Where SNS would have the certificate."""
        return f"https://{self.host}/{self.signer.name}"

    @property
    def headers(self) -> dict[str, str]:
        """What SNS's requests carry whatever their type."""
        return {
            "Content-Type": "text/plain; charset=UTF-8",
            "User-Agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-topic-arn": self.arn,
        }

    def notification(
        self,
        message: str | dict[str, Any],
        *,
        subject: str | None = None,
        message_id: str | None = None,
        at: datetime | None = None,
    ) -> bytes:
        """Return the body of a Notification.

        Args:
            message: its text, or an event (rq_ses_worker.simulator.events.event), written as SES writes it.
            subject: what stands over it; None is what SES writes over such an event.
            message_id: SNS's, which repetitions share; None is a new one.
            at: when it was published; None is now.
        """
        if isinstance(message, dict):
            if subject is None and "eventType" in message:
                subject = PUBLISHED_SUBJECT
            message = json.dumps(message, separators=(",", ":")) + "\n"
        about = {"Message": message} | ({"Subject": subject} if subject else {})
        body = self._signed("Notification", about, message_id, at)
        leave = {"Action": "Unsubscribe", "SubscriptionArn": f"{self.arn}:{uuid.uuid4()}"}
        return json.dumps(body | {"UnsubscribeURL": f"https://{self.host}/?{urlencode(leave)}"}).encode()

    def subscription_confirmation(
        self,
        *,
        token: str = "2336412f37",  # noqa: S107
        at: datetime | None = None,
        place: str | None = None,
    ) -> bytes:
        """Return the body with which SNS asks whether somebody meant to subscribe.

        `place` is the base URL at which it can be confirmed; None is SNS's own.
        """
        text = (
            f"You have chosen to subscribe to the topic {self.arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message."
        )
        return self._confirmation("SubscriptionConfirmation", text, token, at, place)

    def unsubscribe_confirmation(self, *, token: str = "2336412f37", at: datetime | None = None) -> bytes:  # noqa: S107
        """Return the body with which SNS says that a subscription has ended."""
        text = (
            f"You have chosen to deactivate subscription {self.arn}:{uuid.uuid4()}.\n"
            "To cancel this operation and restore the subscription, "
            "visit the SubscribeURL included in this message."
        )
        return self._confirmation("UnsubscribeConfirmation", text, token, at)

    def _confirmation(
        self, kind: str, text: str, token: str, at: datetime | None, place: str | None = None
    ) -> bytes:
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": self.arn, "Token": token})
        about = {
            "Message": text,
            "Token": token,
            "SubscribeURL": f"{place or f'https://{self.host}'}/?{query}",
        }
        return json.dumps(self._signed(kind, about, None, at)).encode()

    def _signed(
        self, kind: str, about: dict[str, str], message_id: str | None, at: datetime | None
    ) -> dict[str, str]:
        body = {
            "Type": kind,
            "MessageId": message_id or str(uuid.uuid4()),
            "TopicArn": self.arn,
            **about,
            "Timestamp": stamp(at or datetime.now(UTC)),
            "SignatureVersion": self.version,
        }
        text = "".join(f"{name}\n{body[name]}\n" for name in _SIGNED[kind] if name in body)
        return body | {
            "Signature": self.signer.sign(text, self.version),
            "SigningCertURL": self.certificate_url,
        }


def stamp(at: datetime) -> str:
    """Return a time as SES and SNS write it: UTC, to a millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
