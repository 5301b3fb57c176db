"""The account's events: made of accepted mails and posted to whoever is subscribed, beside sending."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from rq_ses_worker.simulator.events.account import AccountTopic
from rq_ses_worker.simulator.events.event import Form
from rq_ses_worker.simulator.events.notification import Notification
from rq_ses_worker.simulator.events.particulars import feedback_id
from rq_ses_worker.simulator.events.plan import Occurrence, forms_of, occurrences
from rq_ses_worker.simulator.events.subscription import MOST, Message, Subscription
from rq_ses_worker.simulator.events.subscriptions import Subscriptions, waiting
from rq_ses_worker.simulator.events.target import shown
from rq_ses_worker.simulator.events.told import Log, Told
from rq_ses_worker.simulator.records.mail import Mail
from rq_ses_worker.simulator.way import Target, Way

log = logging.getLogger("rq_ses_worker.simulator.events")

SHUFFLED: Final = 0.4
"""Seconds within which messages are posted in disorder."""


class Publisher:
    """Tells targets what becomes of mails.

    Sending is never kept: mails go into a queue, from which a thread makes messages; each target has a thread
    that posts them. What finds no room in a queue is dropped, and counted.

    Args:
        topic: makes and signs the messages.
        way: how they are told at first.
        keep: how many messages are remembered.
        find: returns the mail of SES's id, while it is kept.
    """

    def __init__(self, topic: AccountTopic, way: Way, keep: int, find: Callable[[str], Mail | None]) -> None:
        self.topic = topic
        self._find = find
        self.log = Log(keep)
        self.base_url = ""
        self._first = way
        self._way = way
        self._lock = threading.RLock()
        self._mails: queue.Queue[str | None] = queue.Queue(MOST)
        self._thread: threading.Thread | None = None
        self._subscriptions = Subscriptions(topic, self.log)
        self._dropped = 0
        self._changes = 0

    @property
    def way(self) -> Way:
        """How events are told now."""
        return self._way

    @property
    def changes(self) -> int:
        """A number that changes with all that the page shows of events."""
        return self._changes + self.log.changes

    def change(self, members: dict[str, Any]) -> Way:
        """Tell from now on in another way. Raises ValueError when it makes none."""
        with self._lock:
            self._set(self._way.changed(members))
            return self._way

    def clear(self) -> None:
        """Forget what was told and what waits; tell as at first."""
        with self._lock:
            self._forget()
            self._set(self._first)
            self.log.clear()
            self._dropped = 0

    def close(self) -> None:
        """Forget what waits, and post no more."""
        with self._lock:
            self._forget()
            with contextlib.suppress(queue.Full):
                self._mails.put_nowait(None)

    def _forget(self) -> None:
        self._set(Way())
        with contextlib.suppress(queue.Empty):
            while True:
                self._mails.get_nowait()

    def _set(self, way: Way) -> None:
        self._changes += 1
        self._way = way
        self._subscriptions.keep(way.targets)

    def accepted(self, message_id: str) -> None:
        """Tell in time what becomes of a mail that is kept; returns at once."""
        if not self._way.targets:
            return
        try:
            # By its id: waiting bodies would fill a machine.
            self._mails.put_nowait(message_id)
        except queue.Full:
            self._dropped += 1
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ses-events-made", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (message_id := self._mails.get()) is not None:
            with self._lock:
                mail = self._find(message_id)
                if mail is None:
                    self._dropped += 1
                    continue
                try:
                    for told in occurrences(mail):
                        self.tell(mail, told)
                except Exception:
                    # One mail that can't be told of mustn't end the telling.
                    log.exception("no events are told of %s", message_id)

    def tell(self, mail: Mail, told: Occurrence) -> list[Notification]:
        """Tell the targets of one event, in each form that is asked for, and return the messages."""
        with self._lock:
            way = self._way
            # First, for what asks a target to confirm comes before all else.
            subscriptions = self._subscriptions.of(way, self.base_url)
            made = []
            at = datetime.now(UTC)
            if told.kind in ("Bounce", "Complaint"):
                # By this id, as by the time, an event is the same in both forms.
                told = replace(told, about={"feedbackId": feedback_id(), **told.about})
            for form in forms_of(told.kind, way.form):
                one = self.topic.notification(
                    mail, told, form=form, version=way.signature, raw=way.raw, at=at
                )
                made.append(one)
                self._post(one, self._note(mail, told, form, one), subscriptions)
            return made

    def _note(self, mail: Mail, told: Occurrence, form: Form, made: Notification) -> int:
        return self.log.add(
            Told(
                at=time.time(),
                kind=told.kind,
                form=form,
                message_id=mail.message_id,
                notification_id=made.message_id,
                recipients=told.recipients,
                deliveries=waiting(self._way.targets),
            )
        )

    def _post(self, one: Notification, number: int, subscriptions: Mapping[Target, Subscription]) -> None:
        for target, subscription in subscriptions.items():
            message = Message(one.body, one.headers, partial(self.log.answered, number, shown(target)))
            for _ in range(self._way.repeat + 1):
                delay = random.uniform(0, SHUFFLED) if self._way.shuffle else 0.0  # noqa: S311
                subscription.put(message, delay)

    def confirm(self, arn: str, token: str) -> bool:
        """Note that a target has asked for the SubscribeURL that it got; tell whether it was one."""
        with self._lock:
            self._changes += 1
            return self._subscriptions.confirm(arn, token)

    def describe(self) -> dict[str, Any]:
        """Return how events are told now, and to whom."""
        with self._lock:
            way = self._way
            return {
                "topic": self.topic.arn,
                "targets": self._subscriptions.describe(way.targets),
                "form": way.form,
                "signature": way.signature,
                "repeat": way.repeat,
                "shuffle": way.shuffle,
                "raw": way.raw,
                "subscribed": way.subscribed,
                "dropped": self._dropped,
            }
