"""A status in words and figures: a screen of tables, and an object for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rq_ses import contract
from rq_ses.gate import GateState
from rq_ses.outcomes.backlog import Backlog
from rq_ses.partition import MOVING, resuming
from rq_ses.status.campaigns import CampaignState
from rq_ses.status.rates import Rates
from rq_ses.status.snapshot import QueueState, Snapshot, WorkerState
from rq_ses.status.unserved import Stray
from rq_ses.text.figures import counted, duration, figure, rate

SHOWN_WORKERS: Final = 20
"""Workers that have a row each; beyond, a host has one."""

UNKNOWN: Final = "not known: SES hasn't told it"
"""What isn't known of an account, as told from what has no bound."""

LATE: Final = 300.0
"""Seconds after which an outcome that isn't told yet is marked."""
SHOWN_CAMPAIGNS: Final = 20
"""Campaigns that have a line each."""

SILENT: Final = 30.0
"""Seconds without a heartbeat after which a worker is marked; ours beat every ten at least."""


def status_object(snapshot: Snapshot, rates: Rates | None) -> dict[str, Any]:
    """Return the status for JSON; what isn't known is null."""
    whole = asdict(snapshot)
    mails, gates = whole.pop("mails"), whole.pop("gates")
    found = {
        **whole,
        "hosts": sorted({worker.host for worker in snapshot.workers}),
        "accounts": gates,
        "sending": mails,
        "refused": [f"{untold}: {untold.reason}" for untold in snapshot.refused],
        "rates": None if rates is None else {**asdict(rates), "attempts": rates.attempts},
    }
    return {name: _finite(value) for name, value in found.items()}


def _finite(value: Any) -> Any:
    """Return a value without the numbers that JSON doesn't have: whoever can write to Redis can make some."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def screen(snapshot: Snapshot, rates: Rates | None, *, title: str) -> RenderableType:
    """Return the status as one screen."""
    parts: list[RenderableType] = [
        Text(f"{title}  {datetime.fromtimestamp(snapshot.now, UTC):%Y-%m-%d %H:%M:%S} UTC", style="bold")
    ]
    if snapshot.suspended:
        parts.append(Text(_suspended(snapshot), style="bold yellow"))
    parts += [
        _queues(snapshot.queues),
        *_campaigns(snapshot.campaigns),
        *_unserved(snapshot),
        *(
            _account(gate, served=f"{gate.account}:{gate.region}" in snapshot.served)
            for gate in snapshot.gates
        ),
    ]
    if not snapshot.gates:
        parts.append(Text("no account is known yet: name one by --region", style="dim"))
    if rates is not None:
        parts.append(_flow(rates))
    parts.append(_workers(snapshot, rates))
    if snapshot.hooks:
        parts.append(_hooks(snapshot.hooks))
    if snapshot.mails:
        parts.append(_mails(snapshot))
    return Group(parts[0], *(part for some in parts[1:] for part in (Text(), some)))


def _suspended(snapshot: Snapshot) -> str:
    where = [partition.prefix for partition in snapshot.partitions if partition.suspended]
    if snapshot.moving:
        return f"suspended by `{MOVING}`: {resuming(where, moving=True)}"
    if not where:
        return f"suspended: nothing is claimed until {resuming([], moving=False)}"
    return f"suspended: nothing is claimed in {', '.join(where)} until {resuming(where, moving=False)}"


def _queues(queues: Sequence[QueueState]) -> RenderableType:
    table = _table("queue", "queued", "oldest", "sending", "scheduled", "next due", "failed", "canceled")
    lines = []
    for queue in queues:
        failed = _count(queue.failed)
        oldest = _duration(queue.oldest) if queue.queued else Text("-")
        due = Text("-") if queue.next_due is None else _duration(queue.next_due)
        counts = [_count(one) for one in (queue.queued, queue.started, queue.scheduled, queue.canceled)]
        queued, started, scheduled, canceled = counts
        table.add_row(
            Text(queue.name),
            queued,
            oldest,
            started,
            scheduled,
            due,
            Text(failed.plain, style="red") if queue.failed else failed,
            canceled,
        )
        waits = f"{queued} queued{f' (oldest {oldest})' if queue.queued else ''}, {started} sending"
        later = f"{scheduled} scheduled{'' if queue.next_due is None else f' (next due in {due})'}"
        lines.append(_under(queue.name, f"{waits}, {later}, {failed} failed, {canceled} canceled"))
    return Fitting(table, Group(*lines))


def _campaigns(campaigns: Sequence[CampaignState]) -> Iterator[Text]:
    for one in campaigns[:SHOWN_CAMPAIGNS]:
        text = (
            f"campaign {one.name} ({one.state}): {one.left:,} of {one.enqueued:,} entries wait or have failed"
            f"; {one.queue} counts its jobs, of up to {contract.BULK_ENTRIES} entries each"
        )
        yield Text(text, style="" if one.state == "sending" else "yellow")
    if len(campaigns) > SHOWN_CAMPAIGNS:
        yield Text(f"and {len(campaigns) - SHOWN_CAMPAIGNS} more campaigns: rq-ses campaign status")


def _unserved(snapshot: Snapshot) -> Iterator[Text]:
    # Where no worker is at these queues at all, that is told of them all.
    told = {queue.name for queue in snapshot.queues} if not snapshot.workers else set()
    for one in snapshot.unserved:
        if isinstance(one, Stray) or one.queue not in told:
            yield Text(f"{one}: {one.remedy}", style="bold yellow")


def _account(gate: GateState, *, served: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(Text("account"), Text(f"{gate.account} in {gate.region}"))
    for name, text, style in _account_lines(gate, served=served):
        table.add_row(Text(name), Text(text, style=style))
    return table


def _account_lines(gate: GateState, *, served: bool) -> Iterator[tuple[str, str, str]]:
    if not gate.is_used:
        yield "breaker", "closed: no worker has gone by it yet (see --account and --region)", "yellow"
    elif gate.breaker == "closed":
        yield "breaker", "closed", "green"
    else:
        yield "breaker", f"{gate.breaker}{', by hand' if gate.manual else ''}{_since(gate)}", "bold red"
        yield "", gate.reason or "no reason was given", ""
        yield "", _next_probe(gate, served=served), ""
    yield "send rate", f"{gate.rate_in_use:,.1f} in use of {_rate(gate)}", ""
    if gate.max_send_rate is not None and gate.rate is not None and gate.rate < gate.max_send_rate:
        yield "", f"lowered after a 429 from {figure(gate.max_send_rate)}", "yellow"
    if gate.quota is None or gate.quota_left is None:
        yield "day", "no bound" if gate.quota_is_known else UNKNOWN, ""
    else:
        used_up = "" if gate.quota_left else "bold red"
        yield "day", f"{gate.quota_left:,.0f} of {gate.quota:,.0f} recipients left", used_up


def _since(gate: GateState) -> str:
    seconds = gate.open_for
    return "" if seconds is None else f" for {_duration(seconds)}"


def _rate(gate: GateState) -> str:
    if gate.rate is not None:
        return rate(gate.rate)
    return "no bound" if gate.rate_is_known else f"a rate {UNKNOWN}"


def _next_probe(gate: GateState, *, served: bool) -> str:
    if gate.manual:
        return "no probes: rq-ses breaker close"
    if not served:
        return "no probes: no worker of this account runs"
    if gate.probe:
        return f"probing with job {gate.probe}"
    seconds = gate.next_probe_in
    return f"next probe in {_duration(seconds)}" if seconds else "next probe with the next mail"


def _flow(rates: Rates) -> Table:
    table = Table.grid(padding=(0, 2))
    took = "" if rates.attempt_seconds is None else f", {1000 * rates.attempt_seconds:.0f} ms each"
    table.add_row(
        Text("a second"),
        Text(
            f"{rates.attempts:,.1f} attempts{took}: {rates.sent:,.1f} sent, {rates.retried:,.1f} to be tried "
            f"again, {rates.failed:,.1f} failed"
        ),
    )
    return table


def _workers(snapshot: Snapshot, rates: Rates | None) -> RenderableType:
    workers = snapshot.workers
    others = f" ({snapshot.other_workers} of other queues)" if snapshot.other_workers else ""
    if not workers and any(untold.what == "workers" for untold in snapshot.refused):
        return Text("workers: not known", style="red")
    if not workers:
        return Text(f"no worker is at these queues{others}: rq-ses worker", style="bold yellow")
    hosts = {worker.host for worker in workers}
    title = Text(f"{_plural(len(workers), 'worker')} on {_plural(len(hosts), 'host')}{others}")
    by_worker = rates.by_worker if rates else {}
    if len(workers) > SHOWN_WORKERS:
        return Group(title, _hosts(workers, by_worker))
    table = _table("worker", "host", "state", "mails", "threads", "a second", "sent", "failed", "heartbeat")
    lines = []
    for worker in workers:
        late = worker.silent is None or worker.silent > SILENT
        beat = "?" if worker.silent is None else f"{_duration(worker.silent)} ago"
        threads = "-" if worker.threads is None else f"{worker.threads:,}"
        pace = f"{by_worker[worker.name]:,.1f}" if worker.name in by_worker else "-"
        host = worker.host if worker.pid is None else f"{worker.host} ({worker.pid})"
        table.add_row(
            Text(worker.name),
            Text(host),
            Text(worker.state),
            Text(f"{worker.current:,}"),
            Text(threads),
            Text(pace),
            Text(f"{worker.sent:,}"),
            Text(f"{worker.failed:,}"),
            Text(beat, style="red" if late else ""),
        )
        lines.append(
            _under(
                worker.name,
                f"on {host}, {worker.state}, {_plural(worker.current, 'mail')}, "
                f"{threads} {'thread' if worker.threads == 1 else 'threads'}, "
                f"{pace} a second, {worker.sent:,} sent, {worker.failed:,} failed, heartbeat {beat}",
            )
        )
    return Group(title, Fitting(table, Group(*lines)))


def _hosts(workers: Sequence[WorkerState], by_worker: dict[str, float]) -> RenderableType:
    table = _table("host", "workers", "busy", "mails", "a second", "sent", "failed")
    lines = []
    for host in sorted({worker.host for worker in workers}):
        here = [worker for worker in workers if worker.host == host]
        busy = f"{sum(worker.state == 'busy' for worker in here):,}"
        mails = sum(worker.current for worker in here)
        pace = f"{sum(by_worker.get(worker.name, 0.0) for worker in here):,.1f}"
        sent = f"{sum(worker.sent for worker in here):,}"
        failed = f"{sum(worker.failed for worker in here):,}"
        table.add_row(*map(Text, (host, f"{len(here):,}", busy, f"{mails:,}", pace, sent, failed)))
        lines.append(
            _under(
                host,
                f"{_plural(len(here), 'worker')}, {busy} busy, {_plural(mails, 'mail')}, {pace} a second, "
                f"{sent} sent, {failed} failed",
            )
        )
    return Fitting(table, Group(*lines))


def _hooks(hooks: Sequence[Backlog]) -> Table:
    table = Table.grid(padding=(0, 2))
    for place, one in enumerate(hooks):
        since = "" if one.oldest is None else f", the oldest for {_duration(one.oldest)}"
        waits = f"{one.group}: {_plural(one.waiting, 'outcome')} to be told{since}"
        late = one.oldest is not None and one.oldest > LATE
        table.add_row(Text("" if place else "hooks"), Text(waits, style="yellow" if late else ""))
    return table


def _mails(snapshot: Snapshot) -> RenderableType:
    table = _table("being sent", "queue", "worker", "for", "mail")
    lines: list[RenderableType] = [Text("being sent", style="dim")]
    for mail in snapshot.mails:
        table.add_row(
            Text(mail.job_id),
            Text(mail.queue),
            Text(mail.worker),
            _duration(mail.seconds),
            Text(mail.description),
        )
        since = _duration(mail.seconds)
        lines.append(
            _under(mail.job_id, f"{mail.description} (queue {mail.queue}, {mail.worker}, for {since})")
        )
    return Fitting(table, Group(*lines))


def _under(head: str, text: str) -> RenderableType:
    """Return a name on a line of its own, so that it stays whole, and what is said of it under it."""
    return Group(Text(head, overflow="fold"), Padding(Text(text, overflow="fold"), (0, 0, 0, 4)))


class Fitting:
    """Draws `wide` where it fits, and else `narrow`: figures must not be cut, nor ids broken."""

    def __init__(self, wide: RenderableType, narrow: RenderableType) -> None:
        self._wide = wide
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = Measurement.get(console, options.update(max_width=10_000), self._wide).maximum
        yield self._wide if needed <= options.max_width else self._narrow


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        is_text = place == 0 or name in ("host", "mail", "queue", "worker", "state")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold", no_wrap=True)
    return table


def _count(number: int | None) -> Text:
    return Text("?", style="red") if number is None else Text(f"{number:,}")


def _duration(seconds: float | None) -> Text:
    if seconds is None:
        return Text("?")
    return Text(duration(seconds))


def _plural(number: int, noun: str) -> str:
    return counted(number, noun, f"{noun}s")
