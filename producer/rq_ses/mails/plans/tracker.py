"""Plans what an Outbox is asked about a mail: how it stands, to wait for it, to call it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from rq_ses import contract
from rq_ses.deadletter.reading.reader import raw_id
from rq_ses.errors import OutboxUnavailable, WaitTimedOut
from rq_ses.keys import Keys
from rq_ses.mails.asking import Asked
from rq_ses.mails.mail import Mail, read_mail
from rq_ses.mails.plans.canceling import canceled
from rq_ses.mails.plans.looking import looked
from rq_ses.mails.stored import MailNotFound
from rq_ses.mails.told import events_in, feedback_in
from rq_ses.outbox.plans.steps import Pause
from rq_ses.outbox.plans.tracking import Mailed, Server
from rq_ses.outbox.ranges import checked_wait
from rq_ses.partition import partition_of
from rq_ses.plan import Plan
from rq_ses.receipt import Receipt
from rq_ses.server.script import Source
from rq_ses.states import CANCELED, DEFERRED, QUEUED, SCHEDULED, STARTED, WAITING
from rq_ses.text.keytext import checked_key
from rq_ses.tracking import UNKNOWN, Status

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.02, 1.0, 1.5
"""Seconds between two looks at a mail that is waited for, and by how much each pause is longer."""

_UNDER_WAY: Final = (QUEUED, SCHEDULED, STARTED, DEFERRED)

Answer = TypeVar("Answer")


class _Persistent:
    """A server that is asked again while it is away; every plan raises OutboxUnavailable."""

    def __init__(self, server: Server) -> None:
        self.keys: Keys = server.keys
        self._server = server

    def command(self, *command: Any) -> Plan[Any]:
        """Return the reply to a command, which may be repeated."""
        return self._tried(lambda asked: asked.command(*command))

    def run(self, script: Source, keys: Sequence[Any], args: Sequence[Any]) -> Plan[Any]:
        """Return a script's reply, which may be repeated."""
        return self._tried(lambda asked: asked.run(script, keys, args))

    def _tried(self, ask: Callable[[Asked], Plan[Answer]]) -> Plan[Answer]:
        server = self._server
        return server.asked(lambda until: ask(Asked(server.line, server.keys, until)))


class Tracker:
    """Plans the calls about the mails of a queue and its priorities (rq_ses.outbox.plans.tracking).

    Args:
        queue: its name.
        servers: of its partitions, in order; one if it has none.
    """

    def __init__(self, queue: str, servers: Sequence[Server]) -> None:
        self._queue = queue
        self._queues = contract.queue_names(queue)
        self._servers = [_Persistent(server) for server in servers]

    def status(self, mail: Mailed, key: str | None) -> Plan[Status]:
        """Return how a mail stands."""
        return self._status(named(self._queue, mail, key))

    def wait(self, mail: Mailed, key: str | None, timeout: float) -> Plan[Status]:
        """Return how a mail stands once nothing more will be done about it. Raises WaitTimedOut."""
        return self._wait(
            named(self._queue, mail, key), checked_wait("timeout", timeout) if timeout != 0 else 0.0
        )

    def cancel(self, mail: Mailed, key: str | None) -> Plan[bool]:
        """Return whether a mail was waiting, so that nobody will send it."""
        return self._cancel(named(self._queue, mail, key))

    def _status(self, job_id: str) -> Plan[Status]:
        try:
            stored = yield from looked(self._of, self._queues, job_id)
        except MailNotFound as exc:
            told = exc.events
            return Status(job_id=job_id, state=UNKNOWN, feedback=feedback_in(told), events=events_in(told))
        return status_of(read_mail(stored))

    def _wait(self, job_id: str, timeout: float) -> Plan[Status]:
        began = time.monotonic()
        for pause in _pauses():
            left = began + timeout - time.monotonic()
            try:
                state, _ = yield from self._state(job_id)
            except OutboxUnavailable as exc:
                if exc.remedy or left <= 0:
                    raise
            else:
                if state not in _UNDER_WAY:
                    return (yield from self._status(job_id))
                if left <= 0:
                    status = yield from self._status(job_id)
                    if status.over:
                        return status
                    raise WaitTimedOut(status, time.monotonic() - began)
            yield Pause(max(0.0, min(pause, left)))
        raise AssertionError("pauses have no end")

    def _cancel(self, job_id: str) -> Plan[bool]:
        before, queue = yield from self._state(job_id)
        if queue not in self._queues or before not in WAITING:
            return False
        done, was = yield from canceled(self._of(job_id), self._queues, job_id, queue)
        # If the first answer was lost, the second says that it is canceled.
        return done or was == CANCELED

    def _state(self, job_id: str) -> Plan[tuple[str, str]]:
        """Return a mail's status and its queue; "" if it has none."""
        asked = self._of(job_id)
        told = yield from asked.command("HMGET", asked.keys.job(raw_id(job_id)), "status", "origin")
        state, queue = (value.decode("utf-8", "replace") if value else "" for value in told or (None, None))
        return state, queue

    def _of(self, job_id: str) -> _Persistent:
        return self._servers[partition_of(job_id, len(self._servers))]


def named(queue: str, mail: Mailed, key: str | None) -> str:
    """Return the id of a job that is named by itself, by its Receipt, or by its key.

    Raises:
        ValueError: both were given, or neither; or it can be nobody's.
    """
    if (mail is None) == (key is None):
        raise ValueError("name the mail by its job id or by its key: give exactly one of them")
    if key is not None:
        return contract.keyed_job_id(queue, checked_key(key))
    job_id = mail.job_id if isinstance(mail, Receipt) else mail
    if not isinstance(job_id, str) or not _is_encodable(job_id):
        raise ValueError(f"job_id: {job_id!r:.80} can't be used: give the text that send returned")
    return job_id


def _is_encodable(job_id: str) -> bool:
    try:
        raw_id(job_id)
    except UnicodeEncodeError:
        return False
    return True


def status_of(mail: Mail) -> Status:
    """Return what an app is told of a mail."""
    words = f": {mail.message}" if mail.message else ""
    return Status(
        job_id=mail.job_id,
        state=mail.status,
        attempts=mail.attempts,
        message_id=mail.message_id,
        error=f"{mail.code}{words}" if mail.code else None,
        in_doubt=mail.unknown,
        next_attempt=mail.scheduled_for,
        created_at=mail.created_at,
        started_at=mail.started_at,
        ended_at=mail.ended_at,
        feedback=mail.feedback,
        events=mail.events,
        suppressed=mail.suppressed,
    )


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
