"""The whole life of a mail: enqueued by a producer, sent by a worker, a receipt; beside dramatiq's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import stacks
from benchmarks.builds.pairs import Round, alternate
from benchmarks.harness.build import ROOT, Build
from benchmarks.harness.mails import POOL, message
from benchmarks.harness.measure import Setting, measure
from benchmarks.harness.processtree import cores
from benchmarks.harness.services import Store, pinned
from benchmarks.stacks import Ours, Stack
from rq_ses.server.encoding import encode_job

THREADS = 32
PEER = stacks.DRAMATIQ_URLLIB3


@dataclass(frozen=True, slots=True)
class Built(Ours):
    """rq-ses of one build: its own producer fills the queue, its own worker drains it."""

    build: Build | None = None

    def fill(self, url: str, count: int, refused: Sequence[int] = ()) -> None:  # noqa: ARG002
        """Enqueue mails by send_many, in a process of the build."""
        variables = self.build.variables if self.build else {}
        with pinned({cores()[0]}):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.harness.enqueuer", "send_many", url, str(count)],
                env={**os.environ, **variables}, cwd=ROOT, stdout=subprocess.DEVNULL, check=True,
            )  # fmt: skip


def measure_life(
    builds: Sequence[Build], store: Store, *, delay: float, rounds: int, mails: int
) -> list[tuple[Round, ...]]:
    """Return so many rounds of each build and of dramatiq, whose mails are a third as many."""
    settings = [
        Setting(Built(build=of), mails, THREADS, delay, variables=dict(of.variables)) for of in builds
    ]
    settings.append(Setting(PEER, max(1, mails // 3), THREADS, delay))
    title = f"life, {'at once' if not delay else f'{delay * 1e3:.0f} ms'}"
    return alternate([partial(_life, setting, store) for setting in settings], rounds, title=title)


def _life(setting: Setting, store: Store) -> Round:
    stack: Stack = setting.stack
    figures = measure(setting, store)
    if figures.surplus:
        raise RuntimeError(f"{stack.name}: {figures.surplus} requests more than mails")
    found = {
        "Redis's CPU, µs a mail": (figures.enqueue_redis_ms + figures.redis_ms) * 1e3,
        "— to enqueue it (send_many)": figures.enqueue_redis_ms * 1e3,
        "— to drain it": figures.redis_ms * 1e3,
        "bytes of AOF a mail": figures.aof,
        "worker's CPU, µs a mail": figures.worker_ms * 1e3,
        "mails/s": figures.rate,
    }
    if isinstance(stack, Built):
        found["bytes of AOF a mail, without its data"] = figures.aof - _data()
    return found


def _data() -> float:
    """Return the bytes of a job's data, which any queue has to keep, of the mails that are measured."""
    sizes = [len(encode_job(message(number).to_payload(), {})) for number in range(POOL)]
    return sum(sizes) / len(sizes)
