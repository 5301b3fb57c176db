"""Takes over SES's own suppression list, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from rq_ses.suppression import Added, Suppressed, Suppression, normal_form
from rq_ses.suppression.address import is_simulated
from rq_ses.suppression.entry import fitting
from rq_ses_worker.ses.account import AccountRefused
from rq_ses_worker.ses.lookups.suppression import Listed, Page, Wanted
from rq_ses_worker.ses.outcome import RateLimited, Transient

PATIENCE: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before a page is asked for again that SES didn't give, once each."""


class Client(Protocol):
    """What asks SES for a page: SesClient, or a stand-in of a test."""

    def list_suppressed(self, wanted: Wanted, token: str = "") -> Page: ...


@dataclass(slots=True)
class Synced:
    """What became of SES's addresses; of a dry run, what would."""

    seen: int = 0
    """Addresses that SES told."""
    unusable: int = 0
    """Left out: no mail of ours can have such an address."""
    done: Added = field(default_factory=Added)


def sync(
    client: Client,
    suppression: Suppression,
    wanted: Wanted,
    *,
    dry_run: bool = False,
    on_progress: Callable[[Synced], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Synced:
    """Put SES's addresses onto our list, with the reason "ses" and SES's own as text.

    It may be broken off and run again: what is there stays as it is.

    Args:
        client: asks SES.
        suppression: our list.
        wanted: which addresses.
        dry_run: only count.
        on_progress: gets what is done so far, page by page.
        sleep: waits.

    Raises:
        AccountRefused: SES doesn't tell, again and again.
        RedisError: our list can't be reached.
    """
    result = Synced()
    for page in _pages(client, wanted, sleep):
        result.seen += len(page.listed)
        entries = list(_usable(page, result))
        if dry_run:
            _count(entries, suppression, result.done)
        else:
            _sum(suppression.add_many(entries), result.done)
        on_progress(result)
    return result


def _pages(client: Client, wanted: Wanted, sleep: Callable[[float], None]) -> Iterator[Page]:
    token, seen = "", {""}
    while True:
        page = _patiently(client, wanted, token, sleep)
        yield page
        token = page.next_token
        if token in seen:  # the end, or a server that would go on for ever
            return
        seen.add(token)


def _patiently(client: Client, wanted: Wanted, token: str, sleep: Callable[[float], None]) -> Page:
    for pause in PATIENCE:
        try:
            return client.list_suppressed(wanted, token)
        except AccountRefused as exc:
            # SES takes few such calls a second, and a page that is asked for again is the same.
            if not isinstance(exc.outcome, RateLimited | Transient):
                raise
            sleep(max(pause, min(exc.outcome.retry_after or 0.0, PATIENCE[-1])))
    return client.list_suppressed(wanted, token)


def _usable(page: Page, result: Synced) -> Iterator[Suppressed]:
    for one in page.listed:
        entry = _entry(one)
        if entry is None:
            result.unusable += 1
        else:
            yield entry


def _entry(listed: Listed) -> Suppressed | None:
    try:
        address = normal_form(listed.address)
    except ValueError:
        return None
    return Suppressed(address, "ses", listed.at, fitting(listed.reason.lower()))


def _count(entries: list[Suppressed], suppression: Suppression, done: Added) -> None:
    ours = [one for one in entries if not is_simulated(one.address)]
    known = suppression.suppressed_of(one.address for one in ours)
    done.excepted += len(entries) - len(ours)
    done.known += sum(one.address in known for one in ours)
    done.added += len({one.address for one in ours} - known.keys())


def _sum(more: Added, done: Added) -> None:
    done.added += more.added
    done.changed += more.changed
    done.known += more.known
    done.excepted += more.excepted
