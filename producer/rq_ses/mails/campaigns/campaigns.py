"""Campaigns under way, by their names: look at them, hold them, let them go on, call them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis

from rq_ses import contract
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
    """The campaigns of a queue.

    Every method raises redis.exceptions.RedisError when the server is away. Threads may share an object.

    Args:
        redis_url: URL of the server, its Sentinels or its cluster (see rq_ses.server.connection).
        connection: a redis-py client to use in place of `redis_url`; its address is used, and not itself.
        queue: the queue's name, as the Outbox has it.
        partitions: prefixes of its partitions, as the Outbox has them; none by default.
        account: name of the SES account, and
        region: its region, by whose rate the end is estimated; by default the only ones that workers name.
    """

    def __init__(
        self,
        redis_url: str | Redis | None = None,
        *,
        connection: Redis | None = None,
        queue: str = contract.DEFAULT_QUEUE,
        partitions: str | Sequence[str] = (),
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        server = Location.given(redis_url, connection, to="Campaigns")
        self.partitions = Partitions.at(
            server, partitions, socket_timeout=_SOCKET_TIMEOUT, connect_timeout=_CONNECT_TIMEOUT
        )
        self._queue = contract.queue_name(contract.checked_queue(queue), "bulk")
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
                    self._count_dead(client, name, part)
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
        for client in self.partitions:
            self._let_follow(client, name, "sending", self._held(client))
        return self.status(name)

    def cancel(self, name: str) -> CampaignStatus:
        """Call back what waits of a campaign, for good: its name can't be used again. Raises as `status`."""
        self._set(name, "canceled")
        for client in self.partitions:
            for pages in (self._held(client), self._scheduled(client), self._queued(client)):
                self._let_follow(client, name, "canceled", pages)
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

    def _let_follow(self, client: Redis, name: str, state: str, pages: Iterator[Sequence[bytes]]) -> None:
        names, queue = keys_of(client), self._queue
        keys: Any = [names.campaign(name), names.scratch, names.queue(queue)]
        keys += [names.registry(kind, queue) for kind in (DEFERRED, SCHEDULED, CANCELED)]
        args: Any = [names.job_prefix, state, contract.CAMPAIGN_FIELD, name, contract.RECIPIENTS_FIELD]
        with self.partitions.naming(client):
            for page in pages:
                told = [utcformat(datetime.now(UTC)), contract.CANCELED_TTL, names.wake(queue), *page]
                self._follow(keys=keys, args=args + told, client=client)

    def _held(self, client: Redis) -> Iterator[Sequence[bytes]]:
        return _registered(client, keys_of(client).registry(DEFERRED, self._queue))

    def _scheduled(self, client: Redis) -> Iterator[Sequence[bytes]]:
        return _registered(client, keys_of(client).registry(SCHEDULED, self._queue))

    def _queued(self, client: Redis) -> Iterator[Sequence[bytes]]:
        """Yield the queue's jobs from its end on: workers take from its front meanwhile."""
        redis: Any = client
        key = keys_of(client).queue(self._queue)
        for last in range(redis.llen(key), 0, -_PAGE):
            if page := redis.lrange(key, max(0, last - _PAGE), last - 1):
                yield page

    def _count_dead(self, client: Redis, name: str, counts: Counts) -> None:
        names = keys_of(client)
        args = [names.job_prefix, contract.CAMPAIGN_FIELD, name, contract.RECIPIENTS_FIELD]
        for page in _registered(client, names.registry(FAILED, self._queue)):
            told = self._dead(keys=[names.scratch], args=[*args, *page], client=client)
            for at in range(0, len(told), 3):
                entries, meta, exc = told[at : at + 3]
                letter = read_letter(Entry(0, b"", b"0", b"failed", b"", meta, exc, b"", b""), self._queue)
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


def _registered(client: Redis, key: str) -> Iterator[Sequence[bytes]]:
    """Yield a registry's jobs; what leaves it meanwhile moves nothing out of sight."""
    redis: Any = client
    for last in range(redis.zcard(key), 0, -_PAGE):
        if page := redis.zrange(key, max(0, last - _PAGE), last - 1):
            yield page
