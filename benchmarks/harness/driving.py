"""Drivers: programs of a build that do what they are told, line by line, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.build import ROOT, Build
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Store, pinned


class Driver:
    """One of them, on the worker's core."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, order: str, *words: object) -> str:
        """Return the line that it answers to an order. Raises RuntimeError when it has ended."""
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            raise RuntimeError("the driver has no pipes")
        print(order, *words, file=sink, flush=True)
        answer = source.readline()
        if not answer:
            raise RuntimeError("the driver has ended: its standard error says why")
        return answer


@contextmanager
def driver(of: Build, name: str, store: Store) -> Iterator[Driver]:
    """Run a build's driver, a module of harness/, until the block is left."""
    command = [sys.executable, "-m", f"benchmarks.harness.{name}", store.url]
    with pinned({cores()[0]}):
        process = subprocess.Popen(
            command, env={**os.environ, **of.variables}, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    try:
        if process.stdout:
            process.stdout.readline()  # it is ready
        yield Driver(process)
    finally:
        process.communicate()
