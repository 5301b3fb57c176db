"""The envelope in which SNS brings a message, over HTTP and through SQS alike, and what of it is signed.

https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

NOTIFICATION: Final = "Notification"
SUBSCRIPTION: Final = "SubscriptionConfirmation"
UNSUBSCRIPTION: Final = "UnsubscribeConfirmation"

BODY_LIMIT: Final = 1 << 20
"""Bytes of a request that are read: four times what SNS takes for a message, quotes escaped and all."""

_NEEDED: Final = (
    "Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature",
    "SigningCertURL",
)  # fmt: skip
_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _CONFIRMATION,
    UNSUBSCRIPTION: _CONFIRMATION,
}


class NotAnEnvelope(ValueError):
    """Raised when a body is no message of SNS's."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message of SNS's as it came; nothing of it is checked yet.

    Values are kept as they are, to the last line feed: they are what is signed.
    """

    type: str
    topic_arn: str
    message_id: str
    message: str = field(repr=False)
    version: str
    signature: str = field(repr=False)
    certificate_url: str
    subscribe_url: str = field(repr=False)
    """Confirms a subscription for whoever asks for it; "" in a notification."""
    signed: bytes = field(repr=False)
    """What the signature is made over."""


def opened(told: Any) -> Envelope:
    """Return the envelope that a value of JSON is. Raises NotAnEnvelope."""
    if not isinstance(told, dict):
        raise NotAnEnvelope("it is no JSON object")
    kind = told.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise NotAnEnvelope("its Type is none of SNS's")
    needed = (*_NEEDED, *(("SubscribeURL", "Token") if kind != NOTIFICATION else ()))
    for name in needed:
        if not isinstance(told.get(name), str):
            raise NotAnEnvelope(f"it has no {name}")
    return Envelope(
        type=kind,
        topic_arn=told["TopicArn"],
        message_id=told["MessageId"],
        message=told["Message"],
        version=told["SignatureVersion"],
        signature=told["Signature"],
        certificate_url=told["SigningCertURL"],
        subscribe_url=told["SubscribeURL"] if kind != NOTIFICATION else "",
        signed=_signed(told, _SIGNED[kind]),
    )


def read_json(text: bytes | str) -> Any:
    """Return what JSON from a stranger says. Raises NotAnEnvelope, however deep or huge it is."""
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except RecursionError:
        raise NotAnEnvelope("it is nested too deep") from None
    except ValueError:
        # Not chained: the cause repeats what a stranger wrote.
        raise NotAnEnvelope("it is no JSON in UTF-8") from None


def _signed(told: dict[str, Any], names: tuple[str, ...]) -> bytes:
    # A member that is null is one that isn't there.
    lines = [f"{name}\n{told[name]}\n" for name in names if told.get(name) is not None]
    return "".join(lines).encode("utf-8", "surrogatepass")
