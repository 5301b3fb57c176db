"""A status in words and figures: a screen of tables, and an object for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rq_ses.gate import GateState, figure
from rq_ses.status.rates import Rates
from rq_ses.status.snapshot import QueueState, Snapshot, WorkerState

SHOWN_WORKERS: Final = 20
"""Workers that have a row each; beyond, a host has one."""

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
        parts.append(Text("suspended: nothing is claimed until `rq resume`", style="bold yellow"))
    parts += [_queues(snapshot.queues), *_unserved(snapshot)]
    parts += [*(_account(gate) for gate in snapshot.gates)]
    if not snapshot.gates:
        parts.append(Text("no account is known yet: name one by --region", style="dim"))
    if rates is not None:
        parts.append(_flow(rates))
    parts.append(_workers(snapshot, rates))
    if snapshot.mails:
        parts.append(_mails(snapshot))
    return Group(parts[0], *(part for some in parts[1:] for part in (Text(), some)))


def _queues(queues: Sequence[QueueState]) -> Table:
    table = _table("queue", "queued", "oldest", "sending", "scheduled", "next due", "failed")
    for queue in queues:
        failed = _count(queue.failed)
        table.add_row(
            Text(queue.name),
            _count(queue.queued),
            _duration(queue.oldest) if queue.queued else Text("-"),
            _count(queue.started),
            _count(queue.scheduled),
            Text("-") if queue.next_due is None else _duration(queue.next_due),
            Text(failed.plain, style="red") if queue.failed else failed,
        )
    return table


def _unserved(snapshot: Snapshot) -> Iterator[Text]:
    # Where no worker is at these queues at all, that is told of them all.
    told = {queue.name for queue in snapshot.queues} if not snapshot.workers else set()
    for one in snapshot.unserved:
        if one.queue not in told:
            yield Text(f"{one}: {one.remedy}", style="bold yellow")


def _account(gate: GateState) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(Text("account"), Text(f"{gate.account} in {gate.region}"))
    for name, text, style in _account_lines(gate):
        table.add_row(Text(name), Text(text, style=style))
    return table


def _account_lines(gate: GateState) -> Iterator[tuple[str, str, str]]:
    if not gate.is_used:
        yield "breaker", "closed: no worker has gone by it yet (see --account and --region)", "yellow"
    elif gate.breaker == "closed":
        yield "breaker", "closed", "green"
    else:
        yield "breaker", f"{gate.breaker}{', by hand' if gate.manual else ''}{_since(gate)}", "bold red"
        yield "", gate.reason or "no reason was given", ""
        yield "", _next_probe(gate), ""
    rate = f"{'any number of' if gate.rate is None else figure(gate.rate)} recipients a second"
    yield "send rate", f"{gate.rate_in_use:.1f} in use of {rate}", ""
    if gate.max_send_rate is not None and gate.rate is not None and gate.rate < gate.max_send_rate:
        yield "", f"lowered after a 429 from {figure(gate.max_send_rate)}", "yellow"
    if gate.quota is None or gate.quota_left is None:
        yield "day", "no bound, or not known", ""
    else:
        used_up = "" if gate.quota_left else "bold red"
        yield "day", f"{gate.quota_left:,.0f} of {gate.quota:,.0f} recipients left", used_up


def _since(gate: GateState) -> str:
    seconds = gate.open_for
    return "" if seconds is None else f" for {_duration(seconds)}"


def _next_probe(gate: GateState) -> str:
    if gate.manual:
        return "no probes: rq-ses breaker close"
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
    if not workers and any(line.startswith("workers: ") for line in snapshot.refused):
        return Text("workers: not known", style="red")
    if not workers:
        return Text(f"no worker is at these queues{others}: rq-ses worker", style="bold yellow")
    hosts = {worker.host for worker in workers}
    title = Text(f"{_plural(len(workers), 'worker')} on {_plural(len(hosts), 'host')}{others}")
    by_worker = rates.by_worker if rates else {}
    if len(workers) > SHOWN_WORKERS:
        return Group(title, _hosts(workers, by_worker))
    table = _table("worker", "host", "state", "mails", "threads", "a second", "sent", "failed", "heartbeat")
    for worker in workers:
        late = worker.silent is None or worker.silent > SILENT
        table.add_row(
            Text(worker.name),
            Text(worker.host if worker.pid is None else f"{worker.host} ({worker.pid})"),
            Text(worker.state),
            Text(f"{worker.current:,}"),
            Text("-" if worker.threads is None else f"{worker.threads:,}"),
            Text(f"{by_worker[worker.name]:,.1f}" if worker.name in by_worker else "-"),
            Text(f"{worker.sent:,}"),
            Text(f"{worker.failed:,}"),
            Text(f"{_duration(worker.silent)} ago", style="red" if late else ""),
        )
    return Group(title, table)


def _hosts(workers: Sequence[WorkerState], by_worker: dict[str, float]) -> Table:
    table = _table("host", "workers", "busy", "mails", "a second", "sent", "failed")
    for host in sorted({worker.host for worker in workers}):
        here = [worker for worker in workers if worker.host == host]
        table.add_row(
            Text(host),
            Text(f"{len(here):,}"),
            Text(f"{sum(worker.state == 'busy' for worker in here):,}"),
            Text(f"{sum(worker.current for worker in here):,}"),
            Text(f"{sum(by_worker.get(worker.name, 0.0) for worker in here):,.1f}"),
            Text(f"{sum(worker.sent for worker in here):,}"),
            Text(f"{sum(worker.failed for worker in here):,}"),
        )
    return table


def _mails(snapshot: Snapshot) -> Table:
    table = _table("being sent", "queue", "worker", "for", "mail")
    for mail in snapshot.mails:
        table.add_row(
            Text(mail.job_id),
            Text(mail.queue),
            Text(mail.worker),
            _duration(mail.seconds),
            Text(mail.description),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        # On a narrow terminal words go on in a second line; figures must stay whole.
        is_text = place == 0 or name in ("host", "mail", "queue", "worker")
        is_figure = not is_text and name != "state"
        table.add_column(name, justify="right" if is_figure else "left", overflow="fold", no_wrap=not is_text)
    return table


def _count(number: int | None) -> Text:
    return Text("?", style="red") if number is None else Text(f"{number:,}")


def _duration(seconds: float | None) -> Text:
    if seconds is None:
        return Text("?")
    for size, name in ((172_800, "d"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return Text(f"{seconds / {'d': 86_400, 'h': 3600, 'min': 60}[name]:.0f} {name}")
    return Text(f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s")


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
