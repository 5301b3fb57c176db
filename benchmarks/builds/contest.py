"""Both builds, and the server that they share: what a comparison begins with."""

from __future__ import annotations

import os
import subprocess
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.build import ROOT, Build, build, export
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Store, store


@dataclass(frozen=True, slots=True)
class Contest:
    """The build of a revision, that of the working tree, their server, and a directory for anything else."""

    before: Build
    now: Build
    redis: Store
    directory: Path


@contextmanager
def contest(against: str | None, options: ArgumentParser) -> Iterator[Contest]:
    """Have it until the block is left, on another core than workers; None is the working tree, again.

    Ends the program, as `options` do, when git can't export the revision.
    """
    os.sched_setaffinity(0, {cores()[1]})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        try:
            tree = export(against, directory / "tree") if against else ROOT
        except subprocess.CalledProcessError:
            options.error(f"--against: git can't export {against}")
        before = build(against or "working tree", tree, directory / "before")
        now = build("working tree", ROOT, directory / "now")
        with store(directory / "valkey") as redis:
            redis.connection.config_set("auto-aof-rewrite-percentage", 0)
            yield Contest(before, now, redis, directory)
