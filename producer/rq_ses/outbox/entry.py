"""A message as enqueue.lua takes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from rq_ses import contract
from rq_ses.message.message import Message
from rq_ses.message.raw import RawMessage
from rq_ses.message.reading import AnyMessage
from rq_ses.outbox.submission import Submission, checked_key
from rq_ses.server.encoding import encode_job


class Shared(NamedTuple):
    """What a job has in common with others, as enqueue.lua takes it."""

    place: int
    """Of its queue among those of all priorities."""
    terms: str
    """When it is due, the number of recipients, whether it has a key."""


class Entry(NamedTuple):
    """The job that will carry a message."""

    job_id: str
    key: str | None
    shared: Shared
    fields: tuple[str | bytes, ...]
    """What is its own, in the order of enqueue.lua's arguments."""

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return sum(map(len, self.fields))


class Draft:
    """A message on its way to its Entry, which knows its job's id, and so where that belongs.

    Raises:
        ValueError: its terms can't be used.
        TypeError: it is no message, or its terms are none.
    """

    def __init__(self, item: AnyMessage | Submission, queue: str) -> None:
        self._submission = item if isinstance(item, Submission) else Submission(item)
        message, key = self._submission.message, self._submission.key
        _check_kind(message)
        self._payload = message.to_payload()
        self._mark: tuple[str, ...] = ()
        # The id is made before anything is written, so that trying again can't enqueue a second time.
        if key is None:
            self.job_id = contract.new_job_id()
        else:
            self.job_id = contract.keyed_job_id(queue, checked_key(key))
            self._mark = (f"{contract.digest(self._payload)}:{os.urandom(8).hex()}",)
        self.asks_time = self._submission.asks_time()

    def entry(self, now: float, trace: Mapping[str, str] = MappingProxyType({})) -> Entry:
        """Return the Entry; `now` is the time (epoch seconds) of its job's server, if it `asks_time`.

        `trace` joins its job's options.

        Raises:
            ValueError: its terms can't be used.
            TypeError: its terms are none.
        """
        submission = self._submission
        message, job_id = submission.message, self.job_id
        data = encode_job(self._payload, {**submission.options(lambda: now), **trace})
        recipients = message.recipients
        description = contract.description(recipients, message.subject)
        place, due, count = submission.place(), submission.due(), len(recipients)
        terms = f"{due},{count if count > 1 else ''},{'keyed' if self._mark else ''}"
        shared = Shared(place, "" if terms == ",," else terms)
        return Entry(job_id, submission.key, shared, (job_id, data, description, *self._mark))


def _check_kind(message: AnyMessage) -> None:
    kind: type[AnyMessage] = RawMessage if isinstance(message, RawMessage) else Message
    if not isinstance(message, kind):
        raise TypeError(f"message must be a rq_ses.Message or RawMessage, not {type(message).__name__}")
    if type(message) is not kind and (more := type(message).model_fields.keys() - kind.model_fields):
        raise TypeError(
            f"message is a {type(message).__name__}, which has fields that no {kind.__name__} has "
            f"({', '.join(sorted(more))}): make a rq_ses.{kind.__name__} of it"
        )
