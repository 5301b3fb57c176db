"""All checks, side by side and bounded in time: one that fails or hangs never stops the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from rq_ses.contract import queue_names
from rq_ses.gate import read_gate
from rq_ses.keys import keys_of
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.server.refusal import ELSE, read_refusal
from rq_ses.status.workers import served_accounts
from rq_ses_worker.doctor.account import judged_account, judged_answer, judged_clock
from rq_ses_worker.doctor.credentials import check_credentials
from rq_ses_worker.doctor.endpoint import check_endpoint
from rq_ses_worker.doctor.finding import Finding, variable
from rq_ses_worker.doctor.gate import judged_gate
from rq_ses_worker.doctor.hooks import check_hooks
from rq_ses_worker.doctor.sender.events import check_events
from rq_ses_worker.doctor.sender.identity import Known, judged_recipient, judged_sender, look_up
from rq_ses_worker.doctor.sender.records import check_records
from rq_ses_worker.doctor.sender.resolver import DnsUnavailable, Resolver
from rq_ses_worker.doctor.server import check_server
from rq_ses_worker.doctor.workers import check_strays, check_workers
from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.ses.account import Account, AccountRefused, Identity
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.lookups.configurationset import EventDestination
from rq_ses_worker.ses.outcome import Outcome, RateLimited
from rq_ses_worker.settings.worker import WorkerSettings

log = logging.getLogger(__name__)

_T = TypeVar("_T")

WHOLE: Final = 28.0
"""Seconds after which what hasn't been found is left out."""

_REDIS_TIMEOUT: Final = 3.0
_SES_TIMEOUT: Final = 4.0
_DNS_SECONDS: Final = 8.0
_PAUSE: Final = 1.1
"""Seconds after a 429: SES answers about one such question a second."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the doctor shall look at besides the settings."""

    sender: str | None = None
    recipient: str | None = None
    dns: bool = True
    nameserver: str | None = None
    configuration_set: str | None = None


@dataclass(slots=True)
class _Group:
    """Checks that run one after the other in a thread; what they have found so far can always be read."""

    name: str
    checks: Iterable[Finding]
    found: list[Finding] = field(default_factory=list)
    ended: bool = False

    def run(self) -> None:
        try:
            for finding in self.checks:
                self.found.append(finding)
        except Exception as exc:  # a defect in one check must leave the others standing
            # Its text is not shown: nobody knows what it holds.
            log.debug("a check of %s failed", self.name, exc_info=True)
            self.found.append(
                Finding(
                    f"{self.name}.failed",
                    "warning",
                    f"a check of {self.name} broke off ({type(exc).__name__})",
                    "a defect of rq-ses: please report it",
                )
            )
        self.ended = True


def examine(
    settings: WorkerSettings,
    wishes: Wishes,
    *,
    within: float = WHOLE,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Return everything that is found, in a fixed order, after `within` seconds at most.

    `tell` is given the names of the groups that are still being looked at.
    """
    groups = [
        _Group("redis", _redis(settings)),
        _Group("endpoint", _endpoint(settings)),
        _Group("ses", _ses(settings, wishes)),
    ]
    threads = [threading.Thread(target=group.run, name=group.name, daemon=True) for group in groups]
    for thread in threads:
        thread.start()
    end = time.monotonic() + within
    for thread in threads:
        tell(", ".join(group.name for group in groups if not group.ended))
        thread.join(max(0.0, end - time.monotonic()))
    findings = []
    for group in groups:
        findings += list(group.found)
        if not group.ended:
            findings.append(_late(group.name, within))
    return findings


def _late(name: str, within: float) -> Finding:
    return Finding(
        f"{name}.late",
        "error",
        f"not all of {name} could be looked at within {within:.0f} s",
        "something on the way answers nothing: look at firewalls, name servers and proxies",
    )


def _redis(settings: WorkerSettings) -> Iterator[Finding]:
    try:
        with Partitions.at(
            Location(settings.redis_url, None),
            settings.partitions,
            socket_timeout=_REDIS_TIMEOUT,
            connect_timeout=_REDIS_TIMEOUT,
        ) as partitions:
            own, url, queues = partitions.own, settings.redis_url, queue_names(settings.queue)
            places = [own, *partitions] if partitions.prefixes else [own]
            yield from _in_each(places, lambda client: check_server(client, url))
            yield from _in_each(partitions.clients, lambda client: check_workers(client, queues))
            yield from _in_each(partitions.clients, check_hooks)
            if partitions.prefixes:
                yield from check_strays(own)
            gate = settings.account, settings.aws_region
            served = any(gate in served_accounts(client) for client in partitions)
            yield from judged_gate(read_gate(own, *gate), served=served)
    except RedisError as exc:
        refusal = read_refusal(exc)
        silent = refusal.passes and not isinstance(exc, ResponseError)
        said = "does not answer" if silent else "answers, but refuses"
        otherwise = f"check {variable('redis_url')}, the server, and the way to it"
        remedy = otherwise if refusal.remedy in ("", ELSE) else refusal.remedy
        yield Finding("redis.reached", "error", f"{said} ({refusal.reason})", remedy)


def _in_each(places: Sequence[Redis], check: Callable[[Redis], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds with each client; what isn't found with all names the prefixes of those."""
    if len(places) == 1:
        yield from check(places[0])
        return
    found: dict[Finding, list[str]] = {}
    for client in places:
        for finding in check(client):
            found.setdefault(finding, []).append(keys_of(client).prefix)
    for finding, prefixes in found.items():
        everywhere = len(prefixes) == len(places)
        yield finding if everywhere else replace(finding, text=f"{', '.join(prefixes)}: {finding.text}")


def _endpoint(settings: WorkerSettings) -> Iterator[Finding]:
    with _client(settings, settings.credentials()) as client:
        url = client.url
    if settings.endpoint:
        yield Finding(
            "endpoint.given",
            "info",
            f"mails go to {urlsplit(url).netloc}, which {settings.endpoint_place} gives, not to SES's own",
            f"if that isn't meant, remove {settings.endpoint_place}",
        )
    yield from check_endpoint(
        url, ca_bundle=settings.ca_bundle, proxied=settings.proxy is not None, timeout=_SES_TIMEOUT
    )


def _ses(settings: WorkerSettings, wishes: Wishes) -> Iterator[Finding]:
    source = settings.credentials()
    found = list(check_credentials(source))
    yield from found
    if settings.unused:
        yield Finding(
            "credentials.unused",
            "info",
            f"not used, since the key comes from {settings.origin('aws_access_key_id')}: "
            f"{', '.join(settings.unused)}",
            "unset what isn't meant, or give all of it in one place",
        )
    known: Known = None
    if found[0].severity == "ok":
        with _client(settings, source) as client:
            answer = _account(client)
            yield from judged_answer(answer, client.clock_offset, own_endpoint=settings.endpoint is not None)
            yield from judged_clock(client.clock_offset, answer)
            if isinstance(answer, Account):
                yield from judged_account(answer)
            if wishes.sender:
                known = _identity(client, wishes.sender)
                yield from judged_sender(wishes.sender, known, settings.aws_region)
            if wishes.recipient and not (isinstance(answer, Account) and answer.production_access):
                recipient = _identity(client, wishes.recipient)
                yield from judged_recipient(wishes.recipient, recipient, settings.aws_region)
            if wishes.sender or wishes.configuration_set:
                yield from _events(client, wishes, known)
    yield _permissions()
    yield from _dns(wishes, known)


def _events(client: SesClient, wishes: Wishes, known: Known) -> Iterator[Finding]:
    own = known.configuration_set if isinstance(known, Identity) else ""

    def ask(name: str) -> tuple[EventDestination, ...] | None:
        return _asked(lambda: client.get_event_destinations(name))

    given = wishes.configuration_set
    yield from check_events(given or own, given=given is not None, ask=ask)


def _account(client: SesClient) -> Account | Outcome:
    try:
        return _asked(client.get_account)
    except AccountRefused as exc:
        return exc.outcome


def _identity(client: SesClient, address: str) -> Known:
    return look_up(address, lambda name: _asked(lambda: client.get_email_identity(name)))


def _asked(question: Callable[[], _T]) -> _T:
    """Return the answer; a question that is refused with a 429 is asked once more."""
    try:
        return question()
    except AccountRefused as exc:
        if not isinstance(exc.outcome, RateLimited):
            raise
    time.sleep(_PAUSE)
    return question()


def _permissions() -> Finding:
    return Finding(
        "iam.send",
        "info",
        "whether IAM allows sending can't be asked without sending: mails need ses:SendEmail, raw content "
        "ses:SendRawEmail, on the sender's identity and on the configuration set that a mail names",
        "rq-ses doctor --policy prints what to attach",
    )


def _dns(wishes: Wishes, known: Known) -> Iterator[Finding]:
    if not wishes.sender:
        yield Finding(
            "identity.none",
            "info",
            "no sender was named, so neither its identity nor its DNS records were looked at",
            "name one: rq-ses doctor --from ADDRESS",
        )
        return
    if not wishes.dns:
        return
    try:
        resolver = Resolver(wishes.nameserver, seconds=_DNS_SECONDS)
    except DnsUnavailable as exc:
        yield Finding("dns.answers", "warning", str(exc), "name a server with --nameserver")
        return
    identity = known if isinstance(known, Identity) else None
    yield from check_records(resolver, wishes.sender.rpartition("@")[2], identity)


def _client(settings: WorkerSettings, source: CredentialSource) -> SesClient:
    # One connection, and no longer patience than the doctor's own.
    bounds = {"timeout": min(settings.timeout, _SES_TIMEOUT), "concurrency": 1}
    return settings.model_copy(update=bounds).client(source)
