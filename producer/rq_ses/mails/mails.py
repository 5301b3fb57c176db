"""Finds one mail of a queue, by job id or key, and cancels it while it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from redis import Redis

from rq_ses import contract
from rq_ses.deadletter.reading.payload import Shared, Unreadable, read_payload
from rq_ses.deadletter.reading.shared import SharedTerms
from rq_ses.keys import keys_of
from rq_ses.mails.asking import Asked
from rq_ses.mails.entries import find_entry, named_entries
from rq_ses.mails.mail import Mail, Named, deliveries_of, read_mail
from rq_ses.mails.plans.canceling import canceled
from rq_ses.mails.plans.looking import looked
from rq_ses.mails.plans.tracker import named
from rq_ses.mails.stored import MailNotFound, StoredMail
from rq_ses.mails.told import merged
from rq_ses.outbox.threads import Threads
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.states import CANCELED, FAILED, FINISHED, QUEUED, SCHEDULED, STARTED, STOPPED

_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 10.0, 5.0


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of a wish to cancel a mail."""

    job_id: str
    canceled: bool
    """It was waiting, and nobody will send it; its key is free."""
    before: Mail
    """As it stood a moment before."""

    @property
    def reason(self) -> str:
        """Return in a sentence what became of it."""
        return _reason(self)


class Mails:
    """The mails of a queue and its priorities, whatever their states.

    Every method raises redis.exceptions.RedisError when the server is away. Threads may share an object.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        connection: a redis-py client to use in place of `redis_url`; its address is used, and not itself.
        queue: the queue's name, as the Outbox has it.
        partitions: prefixes of its partitions, as the Outbox has them; none by default.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        *,
        connection: Redis | None = None,
        queue: str = contract.DEFAULT_QUEUE,
        partitions: str | Sequence[str] = (),
    ) -> None:
        server = Location.given(redis_url, connection, to="Mails")
        self.partitions = Partitions.at(
            server, partitions, socket_timeout=_SOCKET_TIMEOUT, connect_timeout=_CONNECT_TIMEOUT
        )
        self.queue = contract.checked_queue(queue)
        self._queues = contract.queue_names(queue)

    def show(self, job_id: str | None = None, *, key: str | None = None) -> Mail:
        """Return how one mail stands, named by its job id or by its idempotency key.

        Raises:
            MailNotFound: nothing is known of it: it was never enqueued here, or is forgotten by now.
        """
        return self._read(self.named(job_id, key))

    def entry(self, campaign: str, key: str) -> Mail:
        """Return how one of a campaign's entries stands, named by its address, or by the key it was given.

        An entry that waits, or was sent, together with others is shown by their job.

        Raises:
            ValueError: that is the name of no campaign.
            MailNotFound: nothing is known of it.
        """
        *others, last = named_entries(campaign, key)
        for one in others:
            with suppress(MailNotFound):
                return self._entry(campaign, one)
        return self._entry(campaign, last)

    def _entry(self, campaign: str, named: Named) -> Mail:
        client = self.partitions.of(named.id)
        with self.partitions.naming(client):
            stored = find_entry(self.partitions, self._queues, campaign, named)
            stored = replace(stored, events=self._told(client, stored, named))
            return read_mail(stored, self._shared(client, stored), named)

    def _told(self, client: Redis, stored: StoredMail, named: Named) -> Mapping[bytes, bytes]:
        """Return what SES has told of an entry: by its own tag, or by its MessageId alone."""
        events = stored.events if stored.job_id == named.id else _events(client, named.id)
        sent = deliveries_of(stored.result, named)
        message_id = sent[0][1] if len(sent) == 1 else None  # of several nobody knows which is its own
        if message_id:
            events = merged(events, _events(self.partitions.of(message_id), message_id))
        return events

    def cancel(self, job_id: str | None = None, *, key: str | None = None) -> Cancellation:
        """Take one mail out of its queue, if it waits there; say what it is if it doesn't.

        A mail that is canceled is kept for a day as `canceled`, and its key is free at once. One that is
        being sent can't be called back.

        Raises:
            MailNotFound: nothing is known of it.
        """
        name = self.named(job_id, key)
        before = self._read(name)
        client = self.partitions.of(name)
        plan = canceled(Asked.over(client), self._queues, name, before.queue)
        done, was = Threads().carry_out(plan)
        if not done and was != before.status:
            before = self._read(name)  # it has moved in between
        return Cancellation(before.job_id, done, before)

    def named(self, job_id: str | None, key: str | None) -> str:
        """Return the id of a job that is named by id or by key.

        Raises:
            ValueError: both were given, or neither; or it can be nobody's.
        """
        return named(self.queue, job_id, key)

    def partition_of(self, job_id: str) -> str:
        """Return the prefix under which a job stands, or would; without partitions, that of all."""
        return keys_of(self.partitions.of(job_id)).prefix

    def _read(self, job_id: str) -> Mail:
        client = self.partitions.of(job_id)
        with self.partitions.naming(client):
            stored = Threads().carry_out(looked(self._asked, self._queues, job_id))
            return read_mail(stored, self._shared(client, stored))

    def _asked(self, job_id: str) -> Asked:
        return Asked.over(self.partitions.of(job_id))

    @staticmethod
    def _shared(client: Redis, stored: StoredMail) -> Shared | None:
        """Return the terms of the campaign that a mail belongs to, if it does."""
        if contract.CAMPAIGN_FIELD not in stored.fields:
            return None
        try:
            return SharedTerms(client).of(read_payload(stored.data))
        except Unreadable:
            return None


def _events(client: Redis, name: str) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = client.hgetall(keys_of(client).events(name))  # type: ignore[assignment]
    return found


def _reason(done: Cancellation) -> str:
    mail = done.before
    if done.canceled:
        doubt = " (SES may have accepted it in an earlier attempt)" if mail.unknown else ""
        return f"it was {mail.status}, and will not be sent{doubt}"
    return _REASONS.get(
        mail.status, f"it is {mail.status}, and only what is queued or scheduled can be canceled"
    )


_DIVIDED: Final = "its entries are being divided among several jobs: cancel it again in a moment, and these"
_REASONS: Final[Mapping[str, str]] = {
    QUEUED: _DIVIDED,
    SCHEDULED: _DIVIDED,
    STARTED: (
        "it is being sent at this moment and can't be called back: it ends as sent, unless SES refuses it, "
        "or it is to be tried again; then it can be canceled"
    ),
    FINISHED: "it was sent",
    FAILED: "it has failed: nothing will be sent; `rq-ses discard` deletes it",
    STOPPED: "it was stopped by RQ: nothing will be sent",
    CANCELED: "it was canceled before",
}
