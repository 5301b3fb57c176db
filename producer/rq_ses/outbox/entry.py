"""A message as enqueue.lua takes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from rq_ses import contract
from rq_ses.message.message import Message
from rq_ses.message.raw import RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.submission import Submission, checked_key


class Entry(NamedTuple):
    """The job that will carry a message, in the order of enqueue.lua's arguments."""

    job_id: str
    key: str | None
    fields: tuple[str | bytes, ...]

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return sum(map(len, self.fields))


def make_entry(item: AnyMessage | Submission, queue: str, now: Callable[[str], float]) -> Entry:
    """Return what enqueues a message; `now` tells the time (epoch seconds) of a job's server.

    Raises:
        ValueError: its terms can't be used.
        TypeError: it is no message, or its terms are none.
    """
    submission = item if isinstance(item, Submission) else Submission(item)
    message, key = submission.message, submission.key
    _check_kind(message)
    payload = message.to_payload()
    # The id is made before anything is written, so that trying again can't enqueue a second time.
    if key is None:
        job_id, mark = contract.new_job_id(), ""
    else:
        job_id = contract.keyed_job_id(queue, checked_key(key))
        mark = f"{contract.digest(payload)}:{os.urandom(8).hex()}"
    data = contract.encode_job(payload, submission.options(lambda: now(job_id)))
    recipients = message.recipients
    description = contract.description(recipients, message.subject)
    weight = str(len(recipients)) if len(recipients) > 1 else ""
    place = str(submission.place() + 1)
    return Entry(job_id, key, (place, job_id, data, description, submission.due(), mark, weight))


def _check_kind(message: AnyMessage) -> None:
    kind: type[AnyMessage] = RawMessage if isinstance(message, RawMessage) else Message
    if not isinstance(message, kind):
        raise TypeError(f"message must be a rq_ses.Message or RawMessage, not {type(message).__name__}")
    if type(message) is not kind and (more := type(message).model_fields.keys() - kind.model_fields):
        raise TypeError(
            f"message is a {type(message).__name__}, which has fields that no {kind.__name__} has "
            f"({', '.join(sorted(more))}): make a rq_ses.{kind.__name__} of it"
        )
