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
    figures = {cells[0]: cells[1:] for table in tables for cells in map(cells_of, table[2:])}
    assert len(figures) == 30
    for before, now, _ in figures.values():
        assert float(before.replace(",", "")) >= 0 <= float(now.replace(",", ""))
    for name in ("send_many: bytes of AOF a mail", "a queued mail: bytes of memory", "idle worker: MB"):
        before, now, _ = figures[name]
        assert float(before.replace(",", "")) > 0 < float(now.replace(",", ""))


def cells_of(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("| ").split("|")]
