"""The report: tables in Markdown, made of the results alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

Results = dict[str, Any]


def report(results: Results) -> str:
    """Return the whole report."""
    machine = results["machine"]
    parts = [
        f"{machine['date']}, {machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}, "
        f"Python {machine['python']}, Valkey {machine['valkey']}; "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        + "."
        + (" A quick run: one repeat, few mails; no figure for decisions." if machine["quick"] else "")
    ]
    shares = list(_foreign_shares(results))
    if shares:
        parts.append(
            f"While a worker was measured, others used {median(shares):.0%} of its core (at most "
            f"{max(shares):.0%}); much more than 5 %, and no absolute figure here is to be trusted."
        )
    for scenario, section in _SECTIONS.items():
        if scenario in results:
            parts.append(section(results))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns but the first are set to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the median, and in parentheses the least and the greatest where there are several."""
    middle = format(median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({format(min(values), form)}–{format(max(values), form)})"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least `share` of the values don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _of(figures: Sequence[Results], name: str) -> list[float]:
    return [float(one[name]) for one in figures]


def _foreign_shares(results: Results) -> Iterable[float]:
    for scenario in ("at_once", "waiting", "tls"):
        for figures in results.get(scenario, {}).values():
            yield from _of(figures, "foreign_share")


_SPEED_HEAD = ("", "mails/s", "CPU ms/mail", "of Redis", "peak RSS, MB", "connections", "stand-in busy")


def _speed_rows(found: Results) -> list[list[str]]:
    return [
        [
            name,
            spread(_of(figures, "rate"), ",.1f" if _of(figures, "rate")[0] < 100 else ",.0f"),
            spread(_of(figures, "worker_ms"), ".3f" if _of(figures, "worker_ms")[0] < 1 else ".2f"),
            f"{median(_of(figures, 'redis_ms')):.3f}",
            f"{median(_of(figures, 'rss_mb')):.0f}",
            f"{max(_of(figures, 'connections')):.0f}",
            f"{median(_of(figures, 'standin_share')):.0%}",
        ]
        for name, figures in found.items()
    ]


def _at_once(results: Results) -> str:
    ceiling = results["ceiling"]
    proof = (
        f"The stand-in alone: {ceiling['rate']:,.0f} answers/s to a client that reads nothing, at "
        f"{ceiling['cpu_us']:.0f} µs of CPU an answer; its core would carry {1e6 / ceiling['cpu_us']:,.0f}/s."
    )
    found = dict(sorted(results["at_once"].items(), key=lambda item: -median(_of(item[1], "rate"))))
    return f"### Answers at once\n\n{proof}\n\n" + table(_SPEED_HEAD, _speed_rows(found))


def _waiting(results: Results) -> str:
    return "### Answers after 50 ms\n\n" + table(_SPEED_HEAD, _speed_rows(results["waiting"]))


def _processes(results: Results) -> str:
    note = (
        "Answers after 50 ms, on two cores: the first process has one to itself, the second shares the other "
        "with Valkey, the stand-in and the harness. Its threads alone would let a process of 64 have 1,280 "
        "mails/s, one of 128 twice as many."
    )
    return f"### Processes\n\n{note}\n\n" + table(_SPEED_HEAD, _speed_rows(results["processes"]))


def _tls(results: Results) -> str:
    return "### TLS, answers at once\n\n" + table(_SPEED_HEAD, _speed_rows(results["tls"]))


def _retries(results: Results) -> str:
    rows = []
    for name, [figures] in results["retries"].items():
        late = figures["lateness"]
        rows.append([name, str(len(late)), *(f"{1000 * value:,.1f}" for value in _late(late))])
    head = ("", "retries", "earliest, ms", "median", "p99", "latest")
    note = "How long after the moment it was due (1 s after a 503) a mail came again."
    return f"### Lateness of retries\n\n{note}\n\n" + table(head, rows)


def _late(late: Sequence[float]) -> tuple[float, float, float, float]:
    return min(late), median(late), percentile(late, 0.99), max(late)


def _growth(results: Results) -> str:
    found = results["growth"]
    rows = [
        [
            f"{length['queued']:,}",
            spread(length["rates"]),
            spread(length["worker_ms"], ".3f"),
            spread(length["redis_ms"], ".3f"),
            f"{length['memory']:,.0f}",
        ]
        for length in found["lengths"]
    ]
    head = ("mails queued", "mails/s", "CPU ms/mail", "of Redis", "Redis bytes a queued mail")
    windows = f"Windows of {found['window']:,} mails, the queue held at its length"
    note = f"{windows}; payload {found['payload']:,.0f} bytes."
    return f"### Growth\n\n{note}\n\n" + table(head, rows)


def _memory(results: Results) -> str:
    rows = [
        [name, *[f"{one[key]:,.0f}" for key in ("payload", "queued", "receipt")]]
        for name, one in results["memory"].items()
    ]
    head = ("bytes of Redis a mail", "payload", "queued", "receipt of a sent one")
    return "### Memory\n\n" + table(head, rows)


def _enqueueing(results: Results) -> str:
    rows = [[name, spread(rates)] for name, rates in results["enqueueing"].items()]
    return "### Enqueueing\n\n" + table(("one producer process", "messages/s"), rows)


_SECTIONS = {
    "at_once": _at_once,
    "waiting": _waiting,
    "processes": _processes,
    "tls": _tls,
    "retries": _retries,
    "memory": _memory,
    "enqueueing": _enqueueing,
    "growth": _growth,
}
