"""Take messages out of a queue of SQS, and delete them: its JSON protocol, signed by ourselves.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from requests import Response

from rq_ses_worker.ses.client import OUTDATED
from rq_ses_worker.ses.clock import SigningClock
from rq_ses_worker.ses.credentials import Credentials, CredentialsUnavailable, RenewableCredentials
from rq_ses_worker.ses.echo import EchoMask
from rq_ses_worker.ses.failure import EXPECTED, failed
from rq_ses_worker.ses.outcome import Outcome, Sent, classify, is_skew, summary
from rq_ses_worker.ses.sigv4 import host_header, sign
from rq_ses_worker.ses.wire.body import read_what_comes
from rq_ses_worker.ses.wire.connection import WholeAnswer
from rq_ses_worker.ses.wire.deadline import EXCHANGE
from rq_ses_worker.ses.wire.route import STRAIGHT, Route, context_to
from rq_ses_worker.ses.wire.transport import UNTIMED, EndpointAdapter, prepared, user_agent
from rq_ses_worker.settings.feedback import SqsQueue

MOST: Final = 10
"""Messages of one call; SQS gives no more."""

WAIT: Final = 10
"""Seconds for which SQS waits for messages: long polling. A stop waits as long, at most."""

BODY_LIMIT: Final = 24 << 20
"""Bytes of an answer that are read: ten messages of the greatest size, escaped."""


class SqsRefused(Exception):
    """Raised when SQS didn't do what it was asked, or wasn't reached; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that is hidden from others for a while; its receipt handle deletes it."""

    message_id: str
    handle: str = field(repr=False)
    body: str = field(repr=False)
    times: int = 1
    """How often it has been handed out."""


class SqsClient:
    """Asks one queue, from any number of threads over one pool of connections.

    Args:
        queue: which one.
        region: the region that is signed.
        credentials: asked at each call.
        route: how the server is reached.
        timeout: seconds for a call, beside those that SQS waits.
        pool_size: connections that are kept.
    """

    def __init__(
        self,
        queue: SqsQueue,
        region: str,
        credentials: RenewableCredentials,
        route: Route = STRAIGHT,
        *,
        timeout: float = 10.0,
        pool_size: int = 4,
    ) -> None:
        self._queue = queue
        self._region = region
        self._credentials = credentials
        self._timeout = timeout
        proxy = route.through()
        context = context_to(queue.server, route.ca_bundle, proxy)
        self._mask = EchoMask(proxy.secrets if proxy else ())
        self._adapter = EndpointAdapter(queue.server, pool_size, context, proxy)
        self._clock = SigningClock(lambda: datetime.now(UTC))

    def receive(self, wait: int = WAIT) -> list[QueuedMessage]:
        """Return messages, none if none came in so many seconds. Raises SqsRefused."""
        asked = {
            "MaxNumberOfMessages": MOST,
            "WaitTimeSeconds": wait,
            # The older of its two names, which stand-ins know, too.
            "AttributeNames": ["ApproximateReceiveCount"],
        }
        told = self._call("ReceiveMessage", asked, self._timeout + wait)
        messages = told.get("Messages")
        found = [_message(one) for one in messages] if isinstance(messages, list) else []
        return [message for message in found if message is not None]

    def delete(self, messages: Sequence[QueuedMessage]) -> int:
        """Delete up to MOST messages; return how many SQS couldn't. Raises SqsRefused."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message.handle} for number, message in enumerate(messages)
        ]
        told = self._call("DeleteMessageBatch", {"Entries": entries}, self._timeout)
        refused = told.get("Failed")
        return len(refused) if isinstance(refused, list) else 0

    def close(self) -> None:
        """Close the connections that are idle."""
        self._adapter.close()

    def _call(self, action: str, members: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        body = json.dumps({"QueueUrl": self._queue.url, **members}).encode()
        try:
            credentials = self._credentials.current()
            outcome, headers, content = self._attempt(credentials, action, body, seconds)
            if is_skew(outcome) and self._clock.correct(headers):
                outcome, headers, content = self._attempt(credentials, action, body, seconds)
            elif outcome.code in OUTDATED and self._credentials.renew(credentials):
                credentials = self._credentials.current()
                outcome, headers, content = self._attempt(credentials, action, body, seconds)
        except CredentialsUnavailable as exc:
            raise SqsRefused(f"CredentialsUnavailable: {exc}") from exc
        if not isinstance(outcome, Sent):
            told = summary(replace(self._mask.outcome(outcome, credentials), ambiguous=False))
            raise SqsRefused(f"{action}: {told}")
        return _object(content, action)

    def _attempt(
        self, credentials: Credentials, action: str, body: bytes, seconds: float
    ) -> tuple[Outcome, Mapping[str, str], bytes]:
        described = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        url = self._queue.server
        now = self._clock.now()
        added = sign("POST", url, described, body, credentials, self._region, service="sqs", now=now)
        constant = {"Host": host_header(url), "User-Agent": user_agent(), "Content-Length": str(len(body))}
        request = prepared("POST", url, {**constant, **described, **added}, body)
        with EXCHANGE.within(seconds):
            try:
                answer: Response | WholeAnswer = self._adapter.send(request, stream=True, timeout=UNTIMED)
            except EXPECTED as exc:
                return failed(exc, EXCHANGE.phase, EXCHANGE.allowed), {}, b""
            content = read_what_comes(answer, BODY_LIMIT)
        if answer.status_code == 200:
            return Sent(200), answer.headers, content
        return classify(answer.status_code, answer.headers, content), answer.headers, content


def _object(content: bytes, action: str) -> dict[str, Any]:
    try:
        told = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise SqsRefused(f"{action}: the answer isn't SQS's: its end is missing, or something else answered")
    return told


def _message(told: Any) -> QueuedMessage | None:
    """Return a message, None if what came can't even be deleted."""
    told = told if isinstance(told, dict) else {}
    handle, body, message_id = told.get("ReceiptHandle"), told.get("Body"), told.get("MessageId")
    if not isinstance(handle, str) or not isinstance(body, str):
        return None
    attributes = told.get("Attributes")
    times = attributes.get("ApproximateReceiveCount") if isinstance(attributes, dict) else None
    count = int(times) if isinstance(times, str) and times.isascii() and times.isdigit() else 1
    return QueuedMessage(message_id if isinstance(message_id, str) else "", handle, body, count)
