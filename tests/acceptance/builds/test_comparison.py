"""The comparison of two builds runs, here of the working tree with itself: nothing is said of speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_comparison_of_two_builds_ends_with_a_table_of_ratios() -> None:
    command = [sys.executable, "-m", "benchmarks.builds", "--pairs", "1", "--mails", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.splitlines()
    assert head == "| | working tree | working tree | ratio |"
    figures = {name.strip(): cells for _, name, *cells, _ in (row.split("|") for row in rows)}
    assert len(figures) == 16
    for name in ("send_many: bytes of AOF a mail", "a queued mail: bytes of memory", "idle worker: MB"):
        before, now, _ = figures[name]
        assert float(before.replace(",", "")) > 0 < float(now.replace(",", ""))
