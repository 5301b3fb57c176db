"""The dead letters of some queues: what the command line and batch scripts work with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any, BinaryIO

from redis import Redis

from rq_ses import contract
from rq_ses.deadletter.archive import Archive, Exported, Restored
from rq_ses.deadletter.discarding import Discarded, Discarding
from rq_ses.deadletter.groups import Groups, Tally
from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.filter import Filter
from rq_ses.deadletter.reading.payload import Payload
from rq_ses.deadletter.reading.reader import Passed
from rq_ses.deadletter.reading.readers import Readers
from rq_ses.deadletter.reading.record import record
from rq_ses.deadletter.resending import Resending, Resent
from rq_ses.errors import RqSesError
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.text.plaintext import one_line

_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 30.0, 5.0
_EVERY = Filter()


class DeadLetterNotFound(RqSesError, LookupError):
    """Raised when a job isn't a failed mail of these queues."""

    def __init__(self, job_id: str, queues: Sequence[str]) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {one_line(job_id, 100)} is no failed mail of {', '.join(queues)}: "
            "it was sent, resent or deleted, or belongs to another queue"
        )


class DeadLetters:
    """The mails in the failed registries of some queues, in each those that failed first before later ones.

    Every method that reads or writes raises redis.exceptions.RedisError when the server is away; what was
    done until then is done, and the call may simply be made again. Threads may share an object.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        connection: a redis-py client whose address is used in place of `redis_url`; it is left as it is.
        queues: names of RQ queues; by default `mail` with those of the other priorities.
        partitions: prefixes of their partitions, as the Outbox has them; none by default.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        *,
        connection: Redis | None = None,
        queues: Sequence[str] = contract.queue_names(contract.DEFAULT_QUEUE),
        partitions: str | Sequence[str] = (),
    ) -> None:
        server = Location.given(redis_url, connection, to="DeadLetters")
        if isinstance(queues, str) or not queues:
            raise ValueError(f"queues: {queues!r:.80} is no list of names: give one or more queues in a list")
        self.partitions = Partitions.at(
            server, partitions, socket_timeout=_SOCKET_TIMEOUT, connect_timeout=_CONNECT_TIMEOUT
        )
        for client in self.partitions:
            # A page is read while the one before it is worked on.
            pool = client.connection_pool
            pool.max_connections = max(pool.max_connections, 2)
        self.queues = tuple(dict.fromkeys(queues))
        self._readers = Readers(self.partitions, self.queues)
        self._resending = Resending(self.partitions, self._readers)
        self._discarding = Discarding(self.partitions, self._readers)
        self._archive = Archive(self.partitions)

    def groups(self, wanted: Filter = _EVERY, *, on_progress: Callable[[int], None] | None = None) -> Groups:
        """Return the wanted dead letters counted by SES's code and cause; `on_progress` gets their number."""
        tally, passed = Tally(), Passed()
        for number, letter in enumerate(self._readers.letters(wanted, passed), 1):
            tally.add(letter)
            if on_progress and not number % 1000:
                on_progress(number)
        return Groups(tally.groups(), passed.gone, passed.foreign)

    def find(self, wanted: Filter = _EVERY, *, messages: bool = False) -> Iterator[DeadLetter]:
        """Yield the wanted dead letters, with `messages` together with what they say."""
        return self._readers.letters(wanted, Passed(), payloads=messages)

    def get(self, job_id: str) -> DeadLetter:
        """Return one dead letter with its message.

        Raises:
            DeadLetterNotFound: it is no failed mail of these queues.
        """
        for letter in self.find(Filter(ids=[job_id]), messages=True):
            return letter
        raise DeadLetterNotFound(job_id, self.queues)

    def resend(
        self,
        wanted: Filter = _EVERY,
        *,
        limit: int | None = None,
        rate: float | None = None,
        include_unknown: bool = False,
        edits: Mapping[str, Any] | None = None,
        on_progress: Callable[[Resent], None] | None = None,
    ) -> Resent:
        """Move the wanted dead letters to the back of their queues, and count their attempts anew.

        Each is moved in one step of Redis, and only if it still is the failed mail that was read. So a call
        that was interrupted is made again and goes on where it stopped, and whoever resends or requeues at
        the same time never doubles one. What fails anew meanwhile is left for the next call.

        Args:
            wanted: which.
            limit: how many at most; those that failed first are taken first.
            rate: mails a second, at an even pace; by default as fast as Redis takes them.
            include_unknown: also those that SES may have accepted, which may then be received twice.
            edits: new values by field of the message; None takes one away; `tags`, `headers` and
                `list_management` take a mapping and leave other names alone. An idempotency key goes on
                standing for the message it was given with. `to`, `cc`, `bcc` and `subject` can be changed
                of mails named by `ids` alone.
            on_progress: called after each step with what was done so far.

        Raises:
            EditRefused: an edit can't be made, or makes a valid message invalid; nothing was moved.
            ValueError: an argument is unusable; nothing was moved.
        """
        return self._resending.run(
            wanted,
            limit=limit,
            rate=rate,
            include_unknown=include_unknown,
            edits=edits or {},
            on_progress=on_progress,
        )

    def discard(
        self,
        wanted: Filter = _EVERY,
        *,
        limit: int | None = None,
        on_progress: Callable[[Discarded], None] | None = None,
    ) -> Discarded:
        """Delete the wanted dead letters for good, with what they say; their keys are free.

        Each is deleted in one step of Redis, and only if it still is the failed mail that was read: what
        somebody has resent meanwhile stays. `export` keeps what they say.

        Args:
            wanted: which.
            limit: how many at most; those that failed first are taken first.
            on_progress: called after each step with what was done so far.
        """
        return self._discarding.run(wanted, limit=limit, on_progress=on_progress)

    def export(
        self,
        target: IO[str],
        wanted: Filter = _EVERY,
        *,
        limit: int | None = None,
        on_progress: Callable[[Exported], None] | None = None,
    ) -> Exported:
        """Write the wanted dead letters with their messages, an object of JSON a line; they stay failed."""
        result, passed = Exported(), Passed()
        for letter in islice(self._readers.letters(wanted, passed, payloads=True), limit):
            try:
                line = letter.payload and json.dumps(self._record(letter, letter.payload))
            except RecursionError:
                line = None
            if line is None:
                result.unreadable += 1
                continue
            target.write(f"{line}\n")
            result.exported += 1
            if on_progress and not result.exported % 100:
                on_progress(result)
        result.gone, result.foreign = passed.gone, passed.foreign
        return result

    def _record(self, letter: DeadLetter, payload: Payload) -> dict[str, Any]:
        return record(self.partitions.under(letter.prefix), letter, payload)

    def restore(
        self,
        source: BinaryIO,
        *,
        resend: bool = False,
        include_unknown: bool = False,
        on_problem: Callable[[int, str], None] | None = None,
        on_progress: Callable[[Restored], None] | None = None,
    ) -> Restored:
        """Put exported mails back where a Redis has lost them; a job that is there is left as it is.

        They go into the failed registry as they were, or with `resend` to the back of their queue. Those that
        SES may have accepted go into the failed registry all the same, unless `include_unknown` is given.
        They are kept for their failure TTL from now on.

        Args:
            source: an export, opened in binary mode.
            resend: into the queue.
            include_unknown: with `resend`, also those that SES may have accepted.
            on_problem: called with the number of a line that can't be used, and why.
            on_progress: called after each step with what was done so far.

        Raises:
            rq_ses.text.textfile.NotText: (a ValueError) it isn't in UTF-8; nothing was touched.
        """
        return self._archive.restore(
            source,
            resend=resend,
            include_unknown=include_unknown,
            on_problem=on_problem,
            on_progress=on_progress,
        )
