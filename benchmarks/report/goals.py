"""The goals, each beside what one run measured; a miss is shown as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.enqueueing import ASYNC_SEND, RQ_MANY, RQ_SINGLE, SEND, SEND_MANY, THREADED_SEND
from benchmarks.report.table import percentile, spread, table
from benchmarks.stacks import BARE_URLLIB3, DRAMATIQ_BOTO3, DRAMATIQ_URLLIB3, OURS, RQ_SIMPLE

Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal, what was measured (a median), and whether that meets it."""

    goal: str
    measured: str
    met: bool


def verdicts(results: Results) -> list[Verdict]:
    """Return a verdict for each goal whose scenario was run."""
    found: list[Verdict] = []
    for scenario, judge in _JUDGES.items():
        if scenario in results:
            found += judge(results[scenario])
    return found


def goals_table(results: Results) -> str:
    """Return the verdicts as a table."""
    rows = [[one.goal, one.measured, "yes" if one.met else "**no**"] for one in verdicts(results)]
    return "### Goals\n\n" + table(("goal", "measured", "met"), rows)


def _values(figures: Sequence[Results], name: str) -> list[float]:
    return [float(one[name]) for one in figures]


def _at_least(goal: str, values: Sequence[float], bound: float, form: str = ",.0f") -> Verdict:
    return Verdict(goal, spread(values, form), median(values) >= bound)


def _at_most(goal: str, values: Sequence[float], bound: float, form: str = ",.0f") -> Verdict:
    return Verdict(goal, spread(values, form), median(values) <= bound)


def _ratios(found: Results, peer: str) -> list[float]:
    """Return how many times as fast ours was in each repeat."""
    pairs = zip(found[OURS.name], found[peer], strict=True)
    return [ours["rate"] / theirs["rate"] for ours, theirs in pairs]


def _at_once(found: Results) -> list[Verdict]:
    ours = found[OURS.name]
    rates, costs = _values(ours, "rate"), _values(ours, "worker_ms")
    met = median(rates) >= 2800 or median(costs) <= 0.36
    speed = f"{spread(rates)} mails/s, {spread(costs, '.3f')} ms"
    verdicts = [Verdict("≥ 2,800 mails/s or ≤ 0.36 ms CPU a mail", speed, met)]
    for peer, bound in (
        (RQ_SIMPLE, 12.0),
        (DRAMATIQ_BOTO3, 3.0),
        (DRAMATIQ_URLLIB3, 1.4),
        (BARE_URLLIB3, 0.85),
    ):
        verdicts.append(_at_least(f"≥ {bound:g} × {peer.name}", _ratios(found, peer.name), bound, ".2f"))
    connections = _values(ours, "connections")
    verdicts.append(_at_most("one connection a thread: 32", connections, 32))
    surplus = _values(ours, "surplus")
    verdicts.append(Verdict("no mail sent twice", spread(surplus), max(surplus) == 0))
    return verdicts


def _waiting(found: Results) -> list[Verdict]:
    narrow, wide = found[f"{OURS.name}, 32 threads"], found[f"{OURS.name}, 128 threads"]
    return [
        _at_least("50 ms, 32 threads: ≥ 600 mails/s", _values(narrow, "rate"), 600),
        _at_least("50 ms, 128 threads: ≥ 2,250 mails/s", _values(wide, "rate"), 2250),
        _at_most("128 threads: peak RSS ≤ 60 MB", _values(wide, "rss_mb"), 60),
        _at_most("one connection a thread: 128", _values(wide, "connections"), 128),
    ]


def _processes(found: Results) -> list[Verdict]:
    one, two = found["1 × 64 threads"], found["2 × 64 threads"]
    gains = [b["rate"] / a["rate"] for a, b in zip(one, two, strict=True)]
    dearer = [b["worker_ms"] / a["worker_ms"] - 1 for a, b in zip(one, two, strict=True)]
    return [
        _at_least("two processes ≥ 1.7 × one", gains, 1.7, ".2f"),
        _at_most("CPU a mail grows by < 10 %", dearer, 0.1, "+.1%"),
    ]


def _tls(found: Results) -> list[Verdict]:
    return [
        _at_most("TLS: no handshake beyond one a thread: 32", _values(found[OURS.name], "connections"), 32)
    ]


def _retries(found: Results) -> list[Verdict]:
    verdicts = []
    for load in ("idle", "under load"):
        [figures] = found[f"{OURS.name}, {load}"]
        late = figures["lateness"]
        p99, earliest = percentile(late, 0.99), min(late)
        measured = f"{1000 * p99:.1f} ms, earliest {1000 * earliest:+.1f}"
        verdicts.append(
            Verdict(
                f"retries, {load}: p99 ≤ 50 ms late, never early", measured, p99 <= 0.05 and earliest >= 0
            )
        )
    return verdicts


def _memory(found: Results) -> list[Verdict]:
    random, prose = found["rq-ses, random characters"], found["rq-ses, prose"]
    over = random["queued"] - random["payload"]
    return [
        Verdict("queued, at worst: ≤ payload + 1,100 bytes", f"payload {over:+,.0f}", over <= 1100),
        Verdict(
            "queued, where it compresses: ≤ payload",
            f"{prose['queued']:,.0f} of {prose['payload']:,.0f}",
            prose["queued"] <= prose["payload"],
        ),
        Verdict(
            "receipt ≤ 1,200 bytes, RQ's Result readable",
            f"{prose['receipt']:,.0f}; {prose['result'][:40]}…",
            prose["receipt"] <= 1200 and "message_id" in prose["result"],
        ),
    ]


def _enqueueing(found: Results) -> list[Verdict]:
    many = [a / b for a, b in zip(found[SEND_MANY], found[RQ_MANY], strict=True)]
    single = [a / b for a, b in zip(found[SEND], found[RQ_SINGLE], strict=True)]
    tasks = [a / b for a, b in zip(found[ASYNC_SEND], found[THREADED_SEND], strict=True)]
    return [
        _at_least("send_many ≥ 15,000 messages/s", found[SEND_MANY], 15_000),
        _at_least("send_many ≥ 1.6 × RQ's enqueue_many", many, 1.6, ".2f"),
        _at_least("send ≥ RQ's enqueue", single, 1.0, ".2f"),
        _at_least("AsyncOutbox.send ≥ 2 × asyncio.to_thread(Outbox.send), 200 tasks", tasks, 2.0, ".2f"),
    ]


def _growth(found: Results) -> list[Verdict]:
    shortest, *longer = found["lengths"]
    longest = longer[-1]["queued"]

    def apart(*names: str) -> float:
        """Return how far the lengths are from the shortest, at most, in the median of the rounds' ratios."""
        ratios = [
            median(
                one / short for one, short in zip(total(length, names), total(shortest, names), strict=True)
            )
            for length in longer
        ]
        return max(max(ratio, 1 / ratio) for ratio in ratios) - 1

    def total(length: Results, names: Sequence[str]) -> list[float]:
        """Return the sum of some figures in each round."""
        return [sum(values) for values in zip(*(length[name] for name in names), strict=True)]

    rates, cost = apart("rates"), apart("worker_ms", "redis_ms")
    return [
        Verdict(f"drain rates to {longest:,} queued differ by < 5 %", f"{rates:.1%}", rates < 0.05),
        # Others that use the machine meanwhile disturb this one less.
        Verdict("CPU a mail, worker's and Redis's, differs by < 5 %", f"{cost:.1%}", cost < 0.05),
    ]


_JUDGES: dict[str, Callable[[Results], list[Verdict]]] = {
    "at_once": _at_once,
    "waiting": _waiting,
    "processes": _processes,
    "tls": _tls,
    "retries": _retries,
    "memory": _memory,
    "enqueueing": _enqueueing,
    "growth": _growth,
}
