"""What is measured, in which order, with how many mails.

Peers take turns within each repeat, so that a slow minute of the machine meets all of them; ratios are taken
within a repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import stacks
from benchmarks.enqueueing import enqueue_rates
from benchmarks.footprint import footprints
from benchmarks.growth import measure_growth
from benchmarks.harness.measure import Figures, Setting, measure
from benchmarks.harness.services import Certificate, Store, make_certificate
from benchmarks.stacks import Ours, Stack

Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What all scenarios need."""

    store: Store
    directory: Path
    """For certificates."""
    quick: bool
    say: Callable[[str], None]

    @property
    def repeats(self) -> int:
        """Times each speed is measured."""
        return 1 if self.quick else 3

    @property
    def fewer(self) -> int:
        """Times the rest is."""
        return 1 if self.quick else 2

    def mails(self, count: int) -> int:
        """Return how many mails to measure with."""
        return max(4, count // 5) if self.quick else count


AT_ONCE: tuple[tuple[Stack, int, int], ...] = (
    (stacks.OURS, 32, 10_000),
    (stacks.BARE_URLLIB3, 32, 8_000),
    (stacks.DRAMATIQ_URLLIB3, 32, 5_000),
    (stacks.BARE_REQUESTS, 32, 4_000),
    (stacks.DRAMATIQ_BOTO3, 32, 2_000),
    (stacks.CELERY, 32, 1_000),
    (stacks.RQ_SIMPLE, 1, 500),
    (stacks.RQ_FORK, 1, 8),
)
"""Stack, threads, mails."""

WAITING: tuple[tuple[Stack, int, int], ...] = (
    (stacks.OURS, 32, 6_000),
    (stacks.OURS, 128, 12_000),
    (stacks.BARE_URLLIB3, 32, 6_000),
    (stacks.BARE_URLLIB3, 128, 12_000),
    (stacks.DRAMATIQ_URLLIB3, 32, 2_000),
    (stacks.DRAMATIQ_BOTO3, 32, 1_000),
)
ANSWER_AFTER = 0.05


def at_once(run: Run) -> Results:
    """Measure every stack against answers that come at once."""
    settings = [Setting(stack, run.mails(count), threads) for stack, threads, count in AT_ONCE]
    return _repeated(run, {setting.stack.name: setting for setting in settings}, repeats=run.repeats)


def waiting(run: Run) -> Results:
    """Measure against answers after 50 ms, as SES's are."""
    settings = [Setting(stack, run.mails(count), threads, ANSWER_AFTER) for stack, threads, count in WAITING]
    by_name = {f"{s.stack.name}, {s.threads} threads": s for s in settings}
    return _repeated(run, by_name, repeats=run.fewer)


def processes(run: Run) -> Results:
    """Measure one process and two, against answers after 50 ms."""
    settings = {}
    for threads in (64, 128):
        count = run.mails(125 * threads)
        settings[f"1 × {threads} threads"] = Setting(stacks.OURS, count, threads, ANSWER_AFTER)
        settings[f"2 × {threads} threads"] = Setting(
            Ours(processes=2), count * 3 // 2, threads, ANSWER_AFTER, processes=2
        )
    return _repeated(run, settings, repeats=run.repeats)


def tls(run: Run) -> Results:
    """Measure over TLS, where a connection more than needed is dear."""
    certificate: Certificate = make_certificate(run.directory)
    settings = [
        Setting(stacks.OURS, run.mails(6_000), certificate=certificate),
        Setting(stacks.BARE_URLLIB3, run.mails(5_000), certificate=certificate),
    ]
    return _repeated(run, {setting.stack.name: setting for setting in settings}, repeats=run.fewer)


def retries(run: Run) -> Results:
    """Measure how late refused mails are tried again: on an idle worker, and under a backlog."""
    few = run.mails(200)
    light: tuple[Stack, ...] = (stacks.DRAMATIQ_URLLIB3, stacks.CELERY, stacks.RQ_SIMPLE)
    heavy: tuple[tuple[Stack, int], ...] = (
        (stacks.OURS, 25_000),
        (stacks.DRAMATIQ_URLLIB3, 12_000),
        (stacks.CELERY, 3_000),
    )
    # Ours has a breaker, which takes nothing but refusals for an outage: there are mails in between.
    settings = {f"{stacks.OURS.name}, idle": Setting(stacks.OURS, 5 * few, refused=range(0, 5 * few, 5))}
    for stack in light:
        threads = 1 if stack == stacks.RQ_SIMPLE else 32
        settings[f"{stack.name}, idle"] = Setting(stack, few, threads, refused=range(few))
    for stack, count in heavy:
        # Enough behind the refused ones that the worker is still busy when they are due; never fewer.
        refused = range(0, count // 10, count // 10 // 200)[:200]
        settings[f"{stack.name}, under load"] = Setting(stack, count, refused=refused)
    if run.quick:
        settings = {name: setting for name, setting in settings.items() if setting.stack == stacks.OURS}
    return _repeated(run, settings, repeats=1)


def growth(run: Run) -> Results:
    """Measure drain and enqueueing as the queue grows to a million mails."""
    lengths = (1_000, 20_000, 100_000) if run.quick else (1_000, 100_000, 1_000_000)
    measured = measure_growth(run.directory, lengths, run.mails(10_000), 2 if run.quick else 6)
    for length in measured.lengths:
        rates = ", ".join(f"{rate:,.0f}" for rate in length.rates)
        run.say(f"  {length.queued:,} queued: {rates} mails/s; {length.memory:,.0f} bytes a queued mail")
    return asdict(measured)


def memory(run: Run) -> Results:
    """Measure Redis's memory for each queued mail and each receipt."""
    found = footprints(run.store, run.mails(5_000))
    for name, one in found.items():
        run.say(f"  {name}: payload {one.payload:,.0f}, queued {one.queued:,.0f}, receipt {one.receipt:,.0f}")
    return {name: asdict(one) for name, one in found.items()}


def enqueueing(run: Run) -> Results:
    """Measure how fast a producer enqueues."""
    rates = enqueue_rates(run.store, run.repeats, 0.25 if run.quick else 1.0)
    for name, found in rates.items():
        run.say(f"  {name}: {', '.join(f'{rate:,.0f}' for rate in found)} messages/s")
    return rates


SCENARIOS: dict[str, Callable[[Run], Results]] = {
    "at_once": at_once,
    "waiting": waiting,
    "processes": processes,
    "tls": tls,
    "retries": retries,
    "memory": memory,
    "enqueueing": enqueueing,
    "growth": growth,
}


def _repeated(run: Run, settings: dict[str, Setting], *, repeats: int) -> Results:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in settings}
    for _ in range(repeats):
        for name, setting in settings.items():
            figures = measure(setting, run.store)
            found[name].append({**asdict(figures), "rate": figures.rate, "threads": setting.threads})
            run.say(f"  {name}: {_shown(figures)}")
    return found


def _shown(figures: Figures) -> str:
    late = figures.lateness
    retried = f", {len(late)} retries {min(late):+.3f} to {max(late):+.3f} s late" if late else ""
    speed = f"{figures.rate:,.1f} mails/s, {figures.worker_ms:.3f} ms CPU a mail"
    return f"{speed}, {figures.connections} connections, {figures.surplus} sent twice{retried}"
