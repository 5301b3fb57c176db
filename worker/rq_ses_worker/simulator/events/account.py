"""The topic of the simulated account: its name and its key, made when they are first needed."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rq_ses.aws.regions import partition_of
from rq_ses_worker.simulator.events.event import Form, event
from rq_ses_worker.simulator.events.notification import Notification
from rq_ses_worker.simulator.events.plan import Occurrence, sent
from rq_ses_worker.simulator.events.signer import SignatureVersion, Signer
from rq_ses_worker.simulator.events.topic import Topic
from rq_ses_worker.simulator.records.mail import Mail

_ACCOUNT: Final = "123456789012"


class AccountTopic:
    """Makes messages about mails; `certificate` is a file to write the certificate to, which gives its name.

    Safe to use from several threads.
    """

    def __init__(self, region: str, certificate: str | None = None) -> None:
        self._region = region
        self._file = Path(certificate) if certificate else None
        self._lock = threading.Lock()
        self._made: Signer | None = None
        self.arn = f"arn:{partition_of(region).name}:sns:{region}:{_ACCOUNT}:ses-events"

    @property
    def signer(self) -> Signer:
        """Key and certificate."""
        with self._lock:
            if self._made is None:
                self._made = Signer.make(self._file.name if self._file else None)
            return self._made

    def write_certificate(self) -> None:
        """Write the certificate to its file, if one was named. Raises OSError."""
        if self._file:
            self._file.write_bytes(self.signer.certificate)

    def topic(self, version: SignatureVersion) -> Topic:
        """Return the topic as it signs by this version."""
        return Topic(arn=self.arn, signer=self.signer, version=version)

    def notification(
        self,
        mail: Mail,
        told: Occurrence,
        *,
        form: Form,
        version: SignatureVersion,
        raw: bool = False,
        at: datetime | None = None,
    ) -> Notification:
        """Return the message that tells of a mail; `at` is when it happened, None is now.

        Raises:
            ValueError: there is no identity notification of that kind.
        """
        made = event(
            told.kind,
            sent(mail, told.kind, self._region),
            form=form,
            at=at,
            recipients=told.recipients,
            about=told.about,
        )
        message_id = str(uuid.uuid4())
        topic = self.topic(version)
        headers = {
            **topic.headers,
            "x-amz-sns-message-type": "Notification",
            "x-amz-sns-message-id": message_id,
            "x-amz-sns-subscription-arn": f"{self.arn}:{uuid.uuid5(uuid.NAMESPACE_URL, self.arn)}",
        }
        if raw:
            headers["x-amz-sns-rawdelivery"] = "true"
            body = json.dumps(made, separators=(",", ":")).encode() + b"\n"
        else:
            body = topic.notification(made, message_id=message_id)
        return Notification(event=made, body=body, headers=headers, message_id=message_id)

    def confirmation(self, token: str, place: str) -> tuple[bytes, dict[str, str]]:
        """Return body and headers with which a target is asked to confirm at `place`, a base URL."""
        topic = self.topic("1")
        body = topic.subscription_confirmation(token=token, place=place)
        told: dict[str, Any] = json.loads(body)
        return body, {
            **topic.headers,
            "x-amz-sns-message-type": "SubscriptionConfirmation",
            "x-amz-sns-message-id": told["MessageId"],
        }
