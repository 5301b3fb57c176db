"""Store events in Redis, each in one atomic step with all that follows from it (store.lua)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from redis import Redis

from rq_ses.contract import FEEDBACK_TTL
from rq_ses.feedback import record, rules
from rq_ses.feedback.event import Event
from rq_ses.keys import keys_of
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.server.script import Source

SOURCE: Final = Source(
    *("mails/typed", "outcomes/outcome", "mails/finish", "feedback/resolve", "suppression/suppress"),
    "feedback/store",
)
_ADD: Final = Source("suppression/suppress", "suppression/add")

TIMEOUT: Final = 3.0
"""Seconds for a connection and for a command: SNS waits 15 for an answer."""

MOST_COUNTERS: Final = 64
"""Kinds of events that are counted each by itself; AWS adds some."""

MOST_EVENTS: Final = 200
"""Events that are kept of a mail, of kinds that can come any number of times."""

_ENDLESS: Final = ("Open", "Click", "Subscription")

_Entry = tuple[str, str, str, str, str]
"""Field, value, and whom not to write to again: address, reason, text."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing an event came to.

    Attributes:
        new: how many of its recipients hadn't had it before; 0 if it is a repetition.
        job_id: the mail's job, where it is known.
        resolved: what became of a mail in doubt; "" if none was.
    """

    new: int
    job_id: str = ""
    resolved: str = ""


class Store:
    """Where events go; threads may share an object.

    Args:
        partitions: of the queue whose mails they are about.
        ttl: seconds for which a mail's events are kept, from the latest on.
        outcomes: how many are kept for hooks at most; 0: none is told of events.
    """

    def __init__(self, partitions: Partitions, ttl: int = FEEDBACK_TTL, outcomes: int = 0) -> None:
        self._partitions = partitions
        self._ttl = ttl
        self._outcomes = outcomes
        self._script = partitions.own.register_script(SOURCE.text)
        self._add = partitions.own.register_script(_ADD.text)

    @classmethod
    def at(cls, server: Location, prefixes: str, ttl: int = FEEDBACK_TTL, outcomes: int = 0) -> Self:
        """Return the store of a server. Raises as Partitions.at does."""
        partitions = Partitions.at(server, prefixes, socket_timeout=TIMEOUT, connect_timeout=TIMEOUT)
        return cls(partitions, ttl, outcomes)

    def store(self, event: Event) -> Stored:
        """Store an event, unless it is stored already. Raises RedisError."""
        client, job_id = self._place(event)
        keys = keys_of(client)
        events = keys.events(job_id or event.message_id)
        entries = _entries(event)
        if keys != keys_of(self._partitions.own):
            entries = self._suppressed_apart(client, events, entries)
        arguments = [keys.root, job_id, *self._arguments(event)]
        if self._outcomes:
            arguments += [keys.outcomes, self._outcomes, record.outcome(event, job_id).to_json()]
        else:
            arguments += ["", "", ""]
        for entry in entries:
            arguments += entry
        names = [keys.scratch, events, keys.feedback, self._twin(client, event, events)]
        new, resolved = self._script(keys=names, args=arguments, client=client)
        return Stored(int(new), job_id, resolved.decode() if isinstance(resolved, bytes) else "")

    def check(self) -> None:
        """Ask every partition for an answer. Raises RedisError."""
        for client in self._partitions:
            client.ping()

    def close(self) -> None:
        """Close all connections."""
        self._partitions.close()

    def _place(self, event: Event) -> tuple[Redis, str]:
        """Return where a mail's events are, and its job's id, "" if nothing leads to it."""
        if event.job_id:
            return self._partitions.of(event.job_id), event.job_id
        for client in self._partitions:
            found = client.get(keys_of(client).message(event.message_id))
            if isinstance(found, bytes):
                return client, found.decode("utf-8", "replace")
        return self._partitions.of(event.message_id), ""

    def _twin(self, client: Redis, event: Event, events: str) -> str:
        """Return where a bounce or complaint stands that was told without the mail's tag.

        In another partition nobody looks: there it counts once for each form.
        """
        both = event.kind in ("Bounce", "Complaint") and self._partitions.of(event.message_id) is client
        return keys_of(client).events(event.message_id) if both else events

    def _suppressed_apart(self, client: Redis, events: str, entries: list[_Entry]) -> list[_Entry]:
        """Suppress what new entries name, where the list of all partitions stands; return all without that.

        It is done before the event is stored: if this breaks off in between, both are done again.
        """
        named = [entry for entry in entries if entry[2]]
        if named:
            known: Any = client.hmget(events, [entry[0] for entry in named])
            new = [
                part for entry, had in zip(named, known, strict=True) if had is None for part in _added(entry)
            ]
            keys = keys_of(self._partitions.own)
            if new:
                self._add(keys=[keys.scratch, keys.suppressed], args=[keys.root, *new])
        return [(name, value, "", "", "") for name, value, *_ in entries]

    def _arguments(self, event: Event) -> list[Any]:
        return [
            event.message_id,
            self._ttl,
            " ".join(rules.STATES),
            rules.state_of(event),
            "1" if rules.was_accepted(event) else "",
            record.counter(event),
            record.weight(event),
            MOST_COUNTERS,
            MOST_EVENTS if event.kind in _ENDLESS or not event.is_known else "",
            f"{event.accepted_at:.3f}",
        ]


def _entries(event: Event) -> list[_Entry]:
    found = {one.given: one for one in rules.suppressions(event)}
    entries = []
    for name, value, recipient in record.fields(event):
        one = found.get(recipient)
        entries.append((name, value, one.address, one.reason, one.text) if one else (name, value, "", "", ""))
    return entries


def _added(entry: _Entry) -> tuple[str, str, str, str]:
    """Return an entry as add.lua takes it: now."""
    _, _, address, reason, text = entry
    return address, reason, "", text
