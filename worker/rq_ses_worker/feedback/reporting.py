"""Tells what became of messages: in the log, and in numbers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rq_ses.feedback.event import Event
from rq_ses.feedback.receiver import Answer
from rq_ses_worker.feedback.counts import Counts
from rq_ses_worker.logging import events
from rq_ses_worker.logging.rendering import SENT_LOGGER

if TYPE_CHECKING:
    from rq_ses_worker.feedback.sqs import QueuedMessage

log = logging.getLogger(__name__)
sent_log = logging.getLogger(SENT_LOGGER)


class Reporting:
    """Logs and counts; threads may share an object."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def answered(self, answer: Answer) -> None:
        """Note what became of a message."""
        self._counts.count(answer.word)
        event = answer.event
        if event is not None and answer.is_done:
            _stored(answer, event)
        elif answer.word == "noted":
            events.FEEDBACK_NOTED.log(log, text=answer.text, topic=answer.topic)
        elif answer.word == "unread":
            events.FEEDBACK_UNREAD.log(log, text=answer.text, topic=answer.topic)
        elif answer.word == "ended":
            events.FEEDBACK_UNSUBSCRIBED.log(log, text=answer.text, topic=answer.topic)
        elif answer.is_done:
            events.FEEDBACK_SUBSCRIBED.log(log, text=answer.text, topic=answer.topic)
        elif answer.status < 500:
            events.FEEDBACK_REFUSED.log(log, status=answer.status, text=answer.text, topic=answer.topic)
        else:
            events.FEEDBACK_UNSTORED.log(
                log,
                status=answer.status,
                text=answer.text,
                topic=answer.topic,
                kind=event and event.kind,
                message_id=event and event.message_id,
            )

    def left(self, message: QueuedMessage, answer: Answer) -> None:
        """Note one that stays in the queue, for nobody can read it."""
        self._counts.count_left()
        events.FEEDBACK_LEFT.log(log, sqs_id=message.message_id, times=message.times, text=answer.text)

    def away(self, why: str) -> None:
        """Note that the queue didn't do what it was asked; the first time is logged."""
        if not self._counts.away:
            self._counts.away = True
            events.FEEDBACK_QUEUE_AWAY.log(log, error=why)

    def back(self) -> None:
        """Note that it does."""
        if self._counts.away:
            self._counts.away = False
            events.FEEDBACK_QUEUE_BACK.log(log)


def _stored(answer: Answer, event: Event) -> None:
    events.FEEDBACK_STORED.log(
        sent_log,
        kind=event.kind,
        message_id=event.message_id,
        word=answer.word,
        type=event.type,
        subtype=event.subtype,
        to=", ".join(one.address for one in event.recipients),
        job_id=answer.job_id,
        resolved=answer.resolved,
        topic=answer.topic,
    )
    if not event.is_known and answer.word == "stored":
        events.FEEDBACK_UNKNOWN.log(log, kind=event.kind)
    if answer.resolved == "sent":
        events.FEEDBACK_RESOLVED.log(log, job_id=answer.job_id, kind=event.kind, message_id=event.message_id)
