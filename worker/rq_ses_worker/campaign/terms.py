"""The terms of campaigns, which stand in Redis once: fetched by their hash, and kept for the next job."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, NamedTuple, TypeVar

from redis import Redis
from redis.exceptions import RedisError

from rq_ses.keys import keys_of
from rq_ses.server.jobdata import inflated

KEPT: Final = 100
"""Campaigns whose terms a process keeps."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of JSON that they have together; the latest is kept whatever it has."""

T = TypeVar("T")
_Names = tuple[str, str]
"""A campaign's name, and the hash of its terms: campaigns that say the same share them."""


class TermsError(Exception):
    """Raised when a campaign's terms can't be had; `terms` is their hash."""

    def __init__(self, terms: str, text: str) -> None:
        self.terms = terms
        super().__init__(text)


class TermsMissing(TermsError):
    """Raised when Redis answers that it has none: the jobs that need them can't be sent as they are."""


class TermsUnavailable(TermsError):
    """Raised when Redis doesn't answer: nobody knows, and the job is to go back as it was."""


class TermsBroken(TermsError):
    """Raised when what stands there is no campaign's terms."""


class _Kept(NamedTuple, Generic[T]):
    value: T
    size: int


class TermsCache(Generic[T]):
    """Fetches terms, and keeps those that were used last. Threads may share it.

    Args:
        connection: a client of its own, with a pool: threads fetch different terms at the same time.
        read: makes what is kept of a campaign's name, the hash, and what is stored under it, such as
            rq_ses.campaign.bulkjob.read_terms. Raises ValueError if it can't.
        most: how many are kept.
        most_bytes: bytes of JSON that those have together at most.
    """

    def __init__(
        self,
        connection: Redis,
        read: Callable[[str, str, bytes], T],
        *,
        most: int = KEPT,
        most_bytes: int = KEPT_BYTES,
    ) -> None:
        self._connection: Any = connection
        self._read = read
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Names, _Kept[T]] = OrderedDict()
        self._bytes = 0
        self._fetches: dict[_Names, Future[T]] = {}

    def get(self, campaign: str, terms: str) -> T:
        """Return the terms of this hash, as those of the campaign of this name.

        Threads that ask for them while they are fetched wait for that one fetch.

        Raises:
            TermsMissing: there are none.
            TermsUnavailable: Redis is away; ask again later.
            TermsBroken: they can't be read.
        """
        names = (campaign, terms)
        with self._lock:
            if (kept := self._kept.get(names)) is not None:
                self._kept.move_to_end(names)
                return kept.value
            fetch = self._fetches.get(names)
            if mine := fetch is None:
                fetch = self._fetches[names] = Future()
        if mine:
            self._settle(names, fetch)
        return fetch.result()

    def _settle(self, names: _Names, fetch: Future[T]) -> None:
        """Fetch, and let all who wait have what came of it: one after the other they would wait long."""
        try:
            kept = self._fetched(*names)
        except BaseException as exc:  # noqa: BLE001 - it is raised to all who wait, this thread among them
            with self._lock:
                del self._fetches[names]
            fetch.set_exception(exc)
            return
        with self._lock:
            del self._fetches[names]
            self._keep(names, kept)
        fetch.set_result(kept.value)

    def _fetched(self, campaign: str, terms: str) -> _Kept[T]:
        try:
            stored = self._connection.get(keys_of(self._connection).terms(terms))
        except RedisError as exc:
            text = f"the campaign's terms couldn't be fetched: {type(exc).__name__}"
            raise TermsUnavailable(terms, text) from exc
        if stored is None:
            raise TermsMissing(terms, f"no terms {terms} stand in Redis")
        try:
            return _Kept(self._read(campaign, terms, stored), len(inflated(stored)))
        except (ValueError, RecursionError) as exc:
            raise TermsBroken(terms, f"the campaign's terms {terms} can't be read: {exc}") from exc

    def _keep(self, names: _Names, kept: _Kept[T]) -> None:
        self._kept[names] = kept
        self._bytes += kept.size
        while len(self._kept) > self._most or (self._bytes > self._most_bytes and len(self._kept) > 1):
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.size
