"""What an app's tests see of SES's events: messages to hand to the app, or posted to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from rq_ses_worker.simulator.events.notification import Notification
from rq_ses_worker.simulator.events.plan import FORMS, Occurrence
from rq_ses_worker.simulator.events.signer import SignatureVersion
from rq_ses_worker.simulator.events.told import Told
from rq_ses_worker.simulator.server import SimulatorServer
from rq_ses_worker.simulator.way import Target

_PAUSE: Final = 0.005


class Received(Protocol):
    """A mail of `ses_simulator.mails`."""

    @property
    def message_id(self) -> str:
        """SES's id."""


class Telling:
    """The part of `ses_simulator` that tells of mails; `directory` is where the certificate is written to."""

    def __init__(self, server: SimulatorServer, directory: Path) -> None:
        self._server = server
        self._directory = directory

    @property
    def topic(self) -> str:
        """ARN of the topic by which the account's events come."""
        return self._server.publisher.topic.arn

    @property
    def certificate(self) -> str:
        """Path of the certificate by which they are checked; the file is named as in its URL."""
        signer = self._server.publisher.topic.signer
        path = self._directory / signer.name
        if not path.exists():
            path.write_bytes(signer.certificate)
        return str(path)

    def bounce(self, mail: Received, **how: Any) -> Notification:
        """Return SES's message that a mail has bounced for good, as SNS posts it.

        Its `to` posts it to an app: `ses_simulator.bounce(mail).to(app, "/ses/events")`. A transient one has
        `about={"bounceType": "Transient"}`; all else that `event` takes is taken here, too.
        """
        return self.event("Bounce", mail, **how)

    def complain(self, mail: Received, **how: Any) -> Notification:
        """Return SES's message that somebody has complained about a mail. Takes what `event` takes."""
        return self.event("Complaint", mail, **how)

    def delivered(self, mail: Received, **how: Any) -> Notification:
        """Return SES's message that a mail was delivered. Takes what `event` takes."""
        return self.event("Delivery", mail, **how)

    def event(
        self,
        kind: str,
        mail: Received,
        *,
        recipients: Sequence[str] | None = None,
        about: Mapping[str, Any] | None = None,
        form: Literal["event", "notification"] = "event",
        signature: SignatureVersion = "1",
        raw: bool = False,
    ) -> Notification:
        """Return SES's message about a mail, as SNS posts it.

        Args:
            kind: SES's name, such as "DeliveryDelay" or "Rendering Failure".
            mail: one that this simulator has accepted and still keeps.
            recipients: whom it is about; None is all of the mail's.
            about: members of the object of its kind that are otherwise than usual; None leaves one out.
            form: as a configuration set publishes it, or as an identity is notified, without tags.
            signature: "1" is SHA1, "2" SHA256.
            raw: without SNS's envelope, and so unsigned.

        Raises:
            ValueError: the mail isn't kept, or no identity is notified of that kind.
        """
        kept = self._server.mail(mail.message_id)
        if kept is None:
            raise ValueError(f"mail: {mail.message_id!r} isn't among ses_simulator.mails")
        chosen = kept.recipients if recipients is None else tuple(recipients)
        [made] = FORMS[form]
        return self._server.publisher.topic.notification(
            kept,
            Occurrence(kind=kind, recipients=chosen, about=about or {}),
            form=made,
            version=signature,
            raw=raw,
        )

    def post_events_to(self, *targets: Target, **how: Any) -> None:
        """Post events about all mails from now on to these URLs or apps; without any, to nobody.

        Options are `form`, `signature`, `repeat`, `shuffle`, `raw` and `subscribed`; `clear` takes all back.
        Raises ValueError when a value makes no sense.
        """
        self._server.publisher.change({"targets": targets, **how})

    @property
    def events(self) -> list[Told]:
        """What was posted to the targets, oldest first, and how each took it."""
        return self._server.publisher.log.all()

    def wait_for_events(self, n: int = 1, kind: str | None = None, timeout: float = 10.0) -> list[Told]:
        """Return the events as soon as `n` of a kind (None is any) have been taken by every target.

        `timeout` is in seconds. Raises AssertionError that tells what came instead.
        """
        __tracebackhide__ = True
        end = time.monotonic() + timeout
        while True:
            events = [one for one in self.events if kind in (None, one.kind)]
            if sum(one.taken for one in events) >= n:
                return events
            if time.monotonic() > end:
                told = "; ".join(map(str, events)) or "none was told: has post_events_to a target?"
                raise AssertionError(f"{n} events were not taken within {timeout:g} s: {told}")
            time.sleep(_PAUSE)
