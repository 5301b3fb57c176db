"""What a worker carries, predicted from the costs of a mail by a small simulation, and checked.

The costs are those of the run with answers at once: CPU of the worker, of Redis, of the stand-in. The
simulation knows nothing of the other runs; their figures are what it is checked against.

    python -m benchmarks.capacity [RESULTS.json]
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import simpy

from benchmarks.report.table import table
from benchmarks.stacks import OURS
from rq_ses_worker.engine.claiming.demand import SPARE, several
from rq_ses_worker.engine.settling.batches import GATHER, LONGEST

Results = dict[str, Any]
_Step = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds a mail."""

    worker: float
    redis: float
    ses: float
    """Of the stand-in, which shares a core with Redis; the real SES costs nothing here."""
    enqueue: float = 0.0
    """Of Redis, for the mail's producer; the measured queues were filled before."""

    @property
    def real(self) -> Costs:
        """Those of a deployment: mails come in as fast as they go out, and SES is elsewhere."""
        return Costs(self.worker, self.redis + self.enqueue, 0.0)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Worker processes against one Redis and one SES."""

    threads: int
    answer: float
    """Seconds until SES answers."""
    processes: int = 1
    shared: int = 0
    """Processes that run on Redis's core; every other one has a core of its own."""
    partitions: int = 1
    """Redis servers, each with a part of the queue and its share of the processes; the first has the gate."""


GATE = 30e-6
"""CPU seconds of the gate's server for a bundle of tokens, which a process asks for before each claim."""


@dataclass(frozen=True, slots=True)
class Cores:
    """What a process shares with others."""

    own: simpy.Resource
    redis: simpy.Resource
    gate: simpy.Resource | None = None
    """Of the server that hands out tokens; none where the claim itself takes them."""


class _Process:
    """One worker under a backlog: a dispatcher that claims, threads that send, a settler that batches."""

    def __init__(self, env: simpy.Environment, cores: Cores, costs: Costs, plan: Deployment) -> None:
        self._env, self._core, self._other, self._gate = env, cores.own, cores.redis, cores.gate
        self._costs, self._plan = costs, plan
        self._claimed = simpy.Store(env)
        self._free = simpy.Store(env)
        """Idle threads, and places for mails held ready."""
        self._ended = simpy.Store(env)
        self.settled = 0
        for _ in range(plan.threads):
            env.process(self._send())
        for _ in range(int(plan.threads * SPARE)):
            self._free.put(None)
        env.process(self._claim())
        env.process(self._settle())

    def _use(self, core: simpy.Resource, seconds: float) -> _Step:
        with core.request() as turn:
            yield turn
            yield self._env.timeout(seconds)

    def _send(self) -> _Step:
        half = self._costs.worker / 2
        while True:
            yield self._free.put(None)
            yield self._claimed.get()
            yield from self._use(self._core, half)
            yield from self._use(self._other, self._costs.ses)
            yield self._env.timeout(self._plan.answer)
            yield from self._use(self._core, half)
            yield self._ended.put(None)

    def _claim(self) -> _Step:
        while True:
            yield self._free.get()
            wanted = 1 + len(self._free.items)
            for _ in range(wanted - 1):
                yield self._free.get()
            if self._gate:
                yield from self._use(self._gate, GATE)
            yield from self._use(self._other, wanted * self._costs.redis / 2)
            for _ in range(wanted):
                yield self._claimed.put(None)

    def _settle(self) -> _Step:
        while True:
            yield self._ended.get()
            since = self._env.now
            while len(self._ended.items) < several(self._plan.threads) and self._env.now < since + LONGEST:
                yield self._env.timeout(GATHER)
            batch = 1 + len(self._ended.items)
            for _ in range(batch - 1):
                yield self._ended.get()
            yield from self._use(self._other, batch * self._costs.redis / 2)
            self.settled += batch


def simulate(costs: Costs, plan: Deployment, *, warm: float = 1.0, seconds: float = 4.0) -> float:
    """Return the mails a second that `plan` settles once it has warmed up."""
    env = simpy.Environment()
    servers = [simpy.Resource(env) for _ in range(plan.partitions)]
    gate = servers[0] if plan.partitions > 1 else None
    processes = []
    for number in range(plan.processes):
        server = servers[number % plan.partitions]
        own = server if number < plan.shared else simpy.Resource(env)
        processes.append(_Process(env, Cores(own, server, gate), costs, plan))
    env.run(until=warm)
    before = sum(process.settled for process in processes)
    env.run(until=warm + seconds)
    return (sum(process.settled for process in processes) - before) / seconds


def measured_costs(results: Results) -> Costs:
    """Return the costs of the run with answers at once, medians of its repeats."""
    figures = results["at_once"][OURS.name]
    return Costs(
        worker=median(one["worker_ms"] for one in figures) / 1000,
        redis=median(one["redis_ms"] for one in figures) / 1000,
        ses=median(one["standin_share"] / one["rate"] for one in figures),
        enqueue=median(one.get("enqueue_redis_ms", 0.0) for one in figures) / 1000,
    )


def capacity_report(results: Results) -> str:
    """Return the generated part of docs/capacity.md."""
    costs = measured_costs(results)
    return "\n\n".join(
        [_costs(costs, results), _check(costs, results), _outlook(costs), _redis(costs), _partitions(costs)]
    )


def _costs(costs: Costs, results: Results) -> str:
    memory = results["memory"]
    prose = memory["rq-ses, prose"]
    rows = [
        ["CPU of a worker", f"{costs.worker * 1000:.3f} ms", f"{1 / costs.worker:,.0f} mails/s a core"],
        [
            "CPU of Redis, to enqueue it and to send it",
            f"{costs.real.redis * 1000:.3f} ms",
            f"{1 / costs.real.redis:,.0f} mails/s a server",
        ],
        [
            "Redis memory, queued",
            f"{prose['queued']:,.0f} bytes",
            f"{2**30 / prose['queued']:,.0f} mails a GiB",
        ],
        [
            "Redis memory, receipt",
            f"{prose['receipt']:,.0f} bytes, for a day",
            f"{2**30 / prose['receipt'] / 86400:,.1f} mails/s for a GiB",
        ],
    ]
    return "### What a mail costs\n\n" + table(("", "a mail of 2 KB", "so"), rows)


def _check(costs: Costs, results: Results) -> str:
    rows = []
    errors = []
    for name, plan, figures in _points(results):
        predicted, measured = simulate(costs, plan), median(one["rate"] for one in figures)
        errors.append(abs(predicted / measured - 1))
        rows.append([name, f"{predicted:,.0f}", f"{measured:,.0f}", f"{predicted / measured - 1:+.1%}"])
    note = (
        "Predicted from those costs alone, answers after 50 ms, and measured in the same run. "
        f"Greatest error: {max(errors):.0%}."
    )
    head = ("", "predicted, mails/s", "measured", "error")
    return f"### The simulation, checked\n\n{note}\n\n" + table(head, rows)


def _points(results: Results) -> list[tuple[str, Deployment, Sequence[Results]]]:
    waiting, processes = results["waiting"], results["processes"]
    one, two = processes["1 × 64 threads"], processes["2 × 64 threads"]
    return [
        ("32 threads", Deployment(32, 0.05), waiting[f"{OURS.name}, 32 threads"]),
        ("64 threads", Deployment(64, 0.05), one),
        ("128 threads", Deployment(128, 0.05), waiting[f"{OURS.name}, 128 threads"]),
        ("2 processes of 64, one beside Redis", Deployment(64, 0.05, 2, shared=1), two),
    ]


def _outlook(costs: Costs) -> str:
    real = costs.real
    answers, threads = (0.02, 0.05, 0.1, 0.2), (16, 32, 64, 128, 256)
    rows = [
        [f"{count} threads", *[f"{simulate(real, Deployment(count, answer)):,.0f}" for answer in answers]]
        for count in threads
    ]
    head = ("one process, mails/s", *[f"answers after {answer * 1000:.0f} ms" for answer in answers])
    return "### What one process carries (simulated)\n\n" + table(head, rows)


def _redis(costs: Costs) -> str:
    real = costs.real
    counts = (1, 2, 3, 4, 6, 8, 12)
    rows = [
        [str(count), f"{rate:,.0f}", f"{min(1.0, rate * real.redis):.0%}"]
        for count in counts
        for rate in [simulate(real, Deployment(128, 0.05, count), seconds=2.0)]
    ]
    head = ("processes of 128 threads, each with a core", "mails/s at 50 ms", "Redis busy")
    return "### Where one Redis ends (simulated)\n\n" + table(head, rows)


def _partitions(costs: Costs) -> str:
    real = costs.real
    # Enough for a server of its own to be the bound.
    each = math.ceil(1.3 / (real.redis * simulate(real, Deployment(128, 0.05))))
    rates = {
        count: simulate(real, Deployment(128, 0.05, count * each, partitions=count), seconds=8 / count)
        for count in (1, 2, 4, 8, 16)
    }
    rows = [
        [str(count), str(count * each), f"{rate:,.0f}", f"{rate / rates[1]:.2f}"]
        for count, rate in rates.items()
    ]
    head = ("partitions, each on a server", "processes of 128 threads", "mails/s at 50 ms", "× one")
    note = (
        "Each process works on one partition; tokens of the account's rate come from the first one's server, "
        f"{GATE * 1e6:.0f} µs of its CPU before each claim."
    )
    return f"### Beyond one Redis (simulated)\n\n{note}\n\n" + table(head, rows)


if __name__ == "__main__":
    given = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parent / "results" / "latest.json"
    print(capacity_report(json.loads(given.read_text())))
