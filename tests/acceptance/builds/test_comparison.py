"""The comparison of two builds runs, here of the working tree with itself: nothing is said of speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_comparison_of_two_builds_ends_with_tables_of_ratios() -> None:
    sections = ["--only", "draining", "batches"]
    command = [sys.executable, "-m", "benchmarks.builds", *sections, "--pairs", "1", "--mails", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    tables = [read.splitlines() for read in done.stdout.strip().split("\n\n")]
    heads = [head for head, *_ in tables]
    assert heads == [
        f"| {title} | working tree | working tree | ratio |"
        for title in ("draining", "batches of 16", "batches of 64", "memory")
    ]
    figures = {head.split(" | ")[0]: dict(map(figure, rows)) for head, _, *rows in tables}
    assert [len(rows) for rows in figures.values()] == [14, 15, 15, 2]
    for title, name in (
        ("| draining", "send_many: bytes of AOF a mail"),
        ("| draining", "idle worker: MB"),
        ("| batches of 16", "claim and settle: Redis's CPU, µs a mail"),
        ("| memory", "a queued mail: bytes of memory"),
    ):
        before, now = figures[title][name]
        assert before > 0 < now, (title, name)


def figure(row: str) -> tuple[str, tuple[float, float]]:
    name, before, now, _ = (cell.strip() for cell in row[1:-1].split("|"))
    return name, (float(before.replace(",", "")), float(now.replace(",", "")))
