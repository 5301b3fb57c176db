"""The suppression list, as apps and commands use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, Any, BinaryIO, Final, Literal, Self

from redis import Redis

from rq_ses.keys import keys_of
from rq_ses.server.location import Location
from rq_ses.server.script import registered
from rq_ses.server.stored import answered
from rq_ses.suppression.address import is_simulated, normal_form
from rq_ses.suppression.entry import REASONS, Reason, Suppressed, bucket_keys, fitting, read_entry
from rq_ses.suppression.files import Form, read_rows, written
from rq_ses.suppression.lookup import Lookup
from rq_ses.text.invalid import shown

BATCH: Final = 500
"""Addresses of one step, which holds the server up for about a millisecond."""

_BUCKETS: Final = 256
"""Read in one round trip."""

_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 10.0, 5.0

Word = Literal["added", "changed", "known"]
"""What became of an address: new, there for a lesser reason before, or left as it was."""


@dataclass(slots=True)
class Added:
    """What became of many addresses."""

    added: int = 0
    changed: int = 0
    """There before, for a lesser reason."""
    known: int = 0
    """Left as they were."""
    excepted: int = 0
    """Left out: SES's mailbox simulator is on no list."""
    bad: int = 0
    """Lines that couldn't be used."""
    lines: int = 0


class Suppression:
    """The addresses that no mail is sent to: one list for all queues, priorities and partitions.

    Every method that reads or writes raises redis.exceptions.RedisError when the server is away, and may then
    simply be called again. Threads may share an object.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        connection: a redis-py client to use in place of `redis_url`; its address is used, and not itself.
    """

    def __init__(self, redis_url: str | Redis | None = None, *, connection: Redis | None = None) -> None:
        server = Location.given(redis_url, connection, to="Suppression")
        # redis-py's types cover both of its faces, the asynchronous one too.
        self._client: Any = server.client(socket_timeout=_SOCKET_TIMEOUT, connect_timeout=_CONNECT_TIMEOUT)
        self._names = keys_of(self._client)
        self._keys = [self._names.scratch, self._names.suppressed]
        self._lookup = Lookup(self._client)
        self._add = registered(self._client, "suppression/suppress", "suppression/add")
        self._remove = registered(self._client, "suppression/suppress", "suppression/remove")

    def add(
        self, address: str, *, reason: Reason = "manual", text: str = "", at: datetime | None = None
    ) -> Word:
        """Put an address onto the list, and say what became of it. Of two reasons the worse stays.

        Args:
            address: one that a mail can have; a display name is left out.
            reason: manual, ses, bounce or complaint, the worse the later.
            text: what else is worth keeping; cut at 48 bytes.
            at: since when (aware); None is now.

        Raises:
            ValueError: the address or the reason can't be used, or it is one of SES's mailbox simulator.
        """
        form = normal_form(address)
        if is_simulated(form):
            raise ValueError(
                f"{shown(address)} is an address of SES's mailbox simulator, which is on no list: "
                "tests send to it again and again"
            )
        if reason not in REASONS:
            raise ValueError(f"reason: {shown(reason)} is none: give one of {', '.join(REASONS)}")
        if at is not None and at.tzinfo is None:
            raise ValueError(f"at: {at.isoformat()} has no time zone: give an aware datetime")
        [word] = self._added([(form, reason, "" if at is None else at.timestamp(), fitting(text))])
        return word

    def add_many(
        self, entries: Iterable[Suppressed], *, on_progress: Callable[[Added], None] | None = None
    ) -> Added:
        """Put many addresses onto the list, in steps of 500; what they are is theirs to check."""
        return self._put(entries, Added(), on_progress)

    def remove(self, *addresses: str) -> int:
        """Take addresses off the list; return how many were on it. Raises ValueError for what is none."""
        forms = [normal_form(address) for address in addresses]
        found = 0
        for start in range(0, len(forms), BATCH):
            args = [self._names.root, *forms[start : start + BATCH]]
            found += sum(self._remove(keys=self._keys, args=args))
        return found

    def get(self, address: str) -> Suppressed | None:
        """Return an address's entry; None if it isn't on the list. Raises ValueError if it is no address."""
        form = normal_form(address)
        return self._lookup.suppressed_of([form]).get(form)

    def suppressed_of(self, addresses: Iterable[str]) -> dict[str, Suppressed]:
        """Return those of some addresses that are on the list, by their normal forms: in one round trip."""
        return self._lookup.suppressed_of([normal_form(address) for address in addresses])

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self.get(address) is not None

    def __iter__(self) -> Iterator[Suppressed]:
        """Yield the whole list, in no order; what changes meanwhile may be in it or not."""
        for hashes in self._read("hgetall"):
            for fields in hashes:
                for address, value in (fields or {}).items():
                    yield read_entry(address.decode("utf-8", "surrogateescape"), value)

    def count(self) -> int:
        """Return how many addresses there are."""
        return sum(size or 0 for sizes in self._read("hlen") for size in sizes)

    def export(
        self, target: IO[str], form: Form = "csv", *, on_progress: Callable[[int], None] | None = None
    ) -> int:
        """Write the whole list to a text file; return how many addresses that were. Raises OSError."""
        number = 0
        for number, line in enumerate(written(self, form), 0 if form == "csv" else 1):
            target.write(f"{line}\n")
            if on_progress and not number % 1000:
                on_progress(number)
        return number

    def restore(
        self,
        source: BinaryIO,
        form: Form = "csv",
        *,
        reason: Reason = "manual",
        on_problem: Callable[[int, str], None] | None = None,
        on_progress: Callable[[Added], None] | None = None,
    ) -> Added:
        """Put what a file holds onto the list (rq_ses.suppression.files); it may be done twice.

        Args:
            source: the file, as bytes.
            form: csv or jsonl.
            reason: why, where a line doesn't say.
            on_problem: gets the number and the problem of each line that can't be used.
            on_progress: gets what is done so far.

        Raises:
            rq_ses.text.textfile.NotText: the file is in another encoding than UTF-8.
        """
        result = Added()

        def usable() -> Iterator[Suppressed]:
            for number, found in read_rows(source, form, reason):
                result.lines = number
                if isinstance(found, Suppressed):
                    yield found
                    continue
                result.bad += 1
                if on_problem:
                    on_problem(number, found)

        return self._put(usable(), result, on_progress)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(
        self, entries: Iterable[Suppressed], result: Added, on_progress: Callable[[Added], None] | None
    ) -> Added:
        rows = iter(entries)
        while batch := list(islice(rows, BATCH)):
            self._count(batch, result)
            if on_progress:
                on_progress(result)
        return result

    def _count(self, batch: Sequence[Suppressed], result: Added) -> None:
        rows = [(one.address, one.reason, one.at.timestamp(), one.text) for one in batch]
        for word in self._added(rows):
            setattr(result, word, getattr(result, word) + 1)

    def _added(self, rows: Sequence[tuple[str, str, object, str]]) -> list[Word]:
        args: list[Any] = [self._names.root, *(value for row in rows for value in row)]
        return [word.decode() for word in self._add(keys=self._keys, args=args)]

    def _read(self, command: str) -> Iterator[list[Any]]:
        keys = bucket_keys(self._names)
        while some := list(islice(keys, _BUCKETS)):
            with self._client.pipeline(transaction=False) as pipeline:
                for key in some:
                    getattr(pipeline, command)(key)
                yield [answered(one) for one in pipeline.execute(raise_on_error=False)]
