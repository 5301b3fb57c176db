"""Campaigns under way, by their names: look at them, hold them, let them go on, call them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from redis import Redis

from rq_ses.campaign.names import checked_campaign
from rq_ses.deadletter.reading.deadletter import Entry, read_letter
from rq_ses.errors import RqSesError
from rq_ses.gate import named_gates, read_gate
from rq_ses.keys import keys_of
from rq_ses.mails.campaigns.status import CampaignStatus, Counts, seconds_left
from rq_ses.rqdate import utcformat
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.server.script import registered
from rq_ses.states import CANCELED, DEFERRED, FAILED, SCHEDULED

_SOCKET_TIMEOUT, _CONNECT_TIMEOUT = 10.0, 5.0

_PAGE: Final = 500
"""Jobs of one step."""


class CampaignNotFound(RqSesError, LookupError):
    """Raised when there is no campaign of that name: none was begun here, or it is forgotten by now."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"campaign {name}: nothing is known of it: `rq-ses campaign list` names those there are"
        )


class Campaigns:
    """The campaigns of all queues.

    Every method raises redis.exceptions.RedisError when the server is away. Threads may share an object.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        connection: a redis-py client to use in place of `redis_url`; its address is used, and not itself.
        partitions: prefixes of its partitions, as the Outbox has them; none by default.
        account: name of the SES account, and
        region: its region, by whose rate the end is estimated; by default the only ones that workers name.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        *,
        connection: Redis | None = None,
        partitions: str | Sequence[str] = (),
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        server = Location.given(redis_url, connection, to="Campaigns")
        self.partitions = Partitions.at(
            server, partitions, socket_timeout=_SOCKET_TIMEOUT, connect_timeout=_CONNECT_TIMEOUT
        )
        self._gate = account, region
        self._state = registered(self.partitions.own, "mails/campaigns/state")
        self._follow = registered(self.partitions.own, "mails/campaigns/follow")
        self._dead = registered(self.partitions.own, "mails/campaigns/dead")

    def list(self) -> list[str]:
        """Return the names of all campaigns that aren't forgotten yet."""
        names: set[bytes] = set()
        for client in self.partitions:
            with self.partitions.naming(client):
                found: Any = client.smembers(keys_of(client).campaigns)
                names |= found
        return sorted(name.decode("utf-8", "replace") for name in names)

    def status(self, name: str) -> CampaignStatus:
        """Return how a campaign stands. Raises CampaignNotFound, ValueError for what can't be a name."""
        parts = []
        for client in self.partitions:
            with self.partitions.naming(client):
                record: Any = client.hgetall(keys_of(client).campaign(checked_campaign(name)))
                if part := Counts.read(record):
                    self._count_dead(client, name, _queue(record.get(b"queue")), part)
                    parts.append(part)
        if not parts:
            raise CampaignNotFound(name)
        return self._estimated(Counts.together(parts).status(name))

    def pause(self, name: str) -> CampaignStatus:
        """Hold a campaign: what is being sent ends as usual, what waits is held. Raises as `status` does."""
        self._set(name, "paused")
        return self.status(name)

    def resume(self, name: str) -> CampaignStatus:
        """Let a campaign that was paused go on. Raises as `status` does; one that was canceled stays so."""
        self._set(name, "sending")
        for client, queue in self._places(name):
            self._let_follow(client, name, queue, "sending", [_registered(client, DEFERRED, queue)])
        return self.status(name)

    def cancel(self, name: str) -> CampaignStatus:
        """Call back what waits of a campaign, for good: its name can't be used again. Raises as `status`."""
        self._set(name, "canceled")
        for client, queue in self._places(name):
            waiting = [_registered(client, kind, queue) for kind in (DEFERRED, SCHEDULED)]
            self._let_follow(client, name, queue, "canceled", [*waiting, _queued(client, queue)])
        return self.status(name)

    def close(self) -> None:
        """Close all connections."""
        self.partitions.close()

    def _set(self, name: str, state: str) -> None:
        known = False
        for client in self.partitions:
            names = keys_of(client)
            with self.partitions.naming(client):
                keys = [names.campaign(checked_campaign(name)), names.scratch]
                known = bool(self._state(keys=keys, args=[state], client=client)) or known
        if not known:
            raise CampaignNotFound(name)

    def _places(self, name: str) -> Iterator[tuple[Redis, str]]:
        """Yield each partition that has a campaign, and the queue that it is in there: its record's."""
        for client in self.partitions:
            with self.partitions.naming(client):
                queue: Any = client.hget(keys_of(client).campaign(name), "queue")
            if queue is not None:
                yield client, _queue(queue)

    def _let_follow(
        self, client: Redis, name: str, queue: str, state: str, found: Iterable[Iterator[Sequence[bytes]]]
    ) -> None:
        names = keys_of(client)
        keys: Any = [names.campaign(name), names.scratch, names.queue(queue)]
        keys += [names.registry(kind, queue) for kind in (DEFERRED, SCHEDULED, CANCELED)]
        args: Any = [names.job_prefix, state, name]
        with self.partitions.naming(client):
            for page in chain.from_iterable(found):
                told = [utcformat(datetime.now(UTC)), names.wake(queue), *page]
                self._follow(keys=keys, args=args + told, client=client)

    def _count_dead(self, client: Redis, name: str, queue: str, counts: Counts) -> None:
        names = keys_of(client)
        for page in _registered(client, FAILED, queue):
            told = self._dead(keys=[names.scratch], args=[names.job_prefix, name, *page], client=client)
            for at in range(0, len(told), 3):
                entries, meta, exc = told[at : at + 3]
                letter = read_letter(Entry(0, b"", b"0", b"failed", b"", meta, exc, b"", b""), queue)
                if letter.unknown:
                    counts.unknown += int(entries)
                else:
                    counts.failed += int(entries)

    def _estimated(self, status: CampaignStatus) -> CampaignStatus:
        if status.state != "sending":
            return status
        account, region = self._gate
        if not (account and region):
            fit = {gate for client in self.partitions for gate in named_gates(client)}
            fit = {gate for gate in fit if account in (None, gate[0]) and region in (None, gate[1])}
            if len(fit) != 1:
                return status
            [(account, region)] = fit
        gate = read_gate(self.partitions.own, account, region)
        left = seconds_left(status.waiting, gate.rate, gate.quota, gate.quota_left)
        return replace(status, rate=gate.rate, seconds_left=left)


def _queue(recorded: bytes | None) -> str:
    return (recorded or b"").decode("utf-8", "replace")


def _registered(client: Redis, kind: str, queue: str) -> Iterator[Sequence[bytes]]:
    """Yield a registry's jobs; what leaves it meanwhile moves nothing out of sight."""
    redis: Any = client
    key = keys_of(client).registry(kind, queue)
    for last in range(redis.zcard(key), 0, -_PAGE):
        if page := redis.zrange(key, max(0, last - _PAGE), last - 1):
            yield page


def _queued(client: Redis, queue: str) -> Iterator[Sequence[bytes]]:
    """Yield a queue's jobs from its end on: workers take from its front meanwhile."""
    redis: Any = client
    key = keys_of(client).queue(queue)
    for last in range(redis.llen(key), 0, -_PAGE):
        if page := redis.lrange(key, max(0, last - _PAGE), last - 1):
            yield page
