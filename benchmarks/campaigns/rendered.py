"""What a worker spends on a mail of 20 KB that it renders, beside the same mail queued whole.

    python -m benchmarks.campaigns.rendered --against REV [--rounds 5] [--mails 5000]

Both workers share one core, each with a Valkey and a stand-in of its own on the other, and work at the same
time: what disturbs the one disturbs the other. A round ends when one of them has done all; each is warmed up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.build import ROOT, Build, build, export
from benchmarks.harness.measure import environment, wait
from benchmarks.harness.processtree import cores, cpu_seconds
from benchmarks.harness.services import Program, Standin, Store, pinned, store
from benchmarks.stacks import OURS

_THREADS = 16
_WARM = 200

_COMMON = r"""
import random, string, sys
url, name, mails = sys.argv[1], sys.argv[2], int(sys.argv[3])
chance = random.Random(7)
words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 9))) for _ in range(400)]
texts = [" ".join(chance.choices(words, weights=range(400, 0, -1), k=30)) for _ in range(105)]
rows = [f"<p style='margin:0 0 12px'>{text}</p>\n" for text in texts]
body = "".join(rows)[:20_000]
names = ["".join(chance.choices(string.ascii_lowercase, k=20)) for _ in range(mails)]
people = [(who, f"{number:040d}") for number, who in enumerate(names)]
"""
_WHOLE = f"""{_COMMON}
from rq_ses import Message, Outbox
Outbox(url).send_many(
    Message(sender="Shop <shop@example.com>", to=f"user{{number}}@example.com", subject=f"For {{who}}",
            html=f"<p>Dear {{who}}, your code is {{code}}</p>{{body}}")
    for number, (who, code) in enumerate(people))
"""
_RENDERED = f"""{_COMMON}
from rq_ses import Outbox
from rq_ses.campaign import Campaign, Entry, Template
html = "<p>Dear {{{{ who }}}}, your code is {{{{ code }}}}</p>" + body
template = Template(subject="For {{{{ who }}}}", html=html, engine="jinja2")
campaign = Campaign(name=name, sender="Shop <shop@example.com>", template=template)
data = ({{"who": who, "code": code}} for who, code in people)
Outbox(url).send_bulk(campaign, (Entry(f"user{{at}}@example.com", one) for at, one in enumerate(data)))
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One worker with its queue."""

    of: Build
    script: str
    queue: str

    def fill(self, redis: Store, name: str, mails: int) -> None:
        """Enqueue so many."""
        command = [sys.executable, "-c", self.script, redis.url, name, str(mails)]
        with pinned({cores()[0]}):
            subprocess.run(command, env={**os.environ, **self.of.variables}, cwd=ROOT, check=True)


def main() -> None:
    """Print the CPU a mail of both, each round, and the ratio's median."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        there = Path(directory)
        before = build(options.against, export(options.against, there / "tree"), there / "before")
        now = build("this build", ROOT, there / "now")
        sides = Side(before, _WHOLE, "rq:queue:mail"), Side(now, _RENDERED, "rq:queue:mail-bulk")
        ratios = []
        for number in range(options.rounds):
            spent = _round(sides, options.mails, there / f"round-{number}")
            ratios.append(spent[0] / spent[1])
            print(f"{options.against} {spent[0]:.0f} µs, rendered {spent[1]:.0f} µs: {ratios[-1]:.2f} times")
    print(f"median of {options.rounds}: {statistics.median(ratios):.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REV", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mails", type=int, default=5000)
    return parser.parse_args()


def _round(sides: tuple[Side, ...], mails: int, there: Path) -> list[float]:
    """Let both work; return the CPU, in µs a mail, of each."""
    with ExitStack() as stack:
        started = [_started(stack, side, mails, there / str(place)) for place, side in enumerate(sides)]
        cpu = [cpu_seconds(program.pid) for program, _, _ in started]
        for _, release, _ in started:
            release()
        while all(done() < mails for _, _, done in started):
            time.sleep(0.1)
        return [
            (cpu_seconds(program.pid) - before) * 1e6 / done()
            for (program, _, done), before in zip(started, cpu, strict=True)
        ]


def _started(
    stack: ExitStack, side: Side, mails: int, there: Path
) -> tuple[Program, Callable[[], object], Callable[[], int]]:
    """Warm a worker up beside mails that are hidden; return how they are shown, and counted."""
    there.mkdir(parents=True)
    redis = stack.enter_context(store(there / "data"))
    connection = redis.connection
    side.fill(redis, "sale", mails)
    connection.rename(side.queue, "parked")
    standin = Standin()
    stack.callback(standin.kill)
    variables = {**environment(redis, standin, _THREADS, None), **side.of.variables}
    program = Program(OURS.command(_THREADS), variables, {cores()[0]}, there / "log")
    stack.callback(program.stop)

    def sent() -> int:
        finished = connection.zcard("rq:finished:mail")
        counts = [connection.hget(f"rq:ses:campaign:{name}", "sent") for name in ("sale", "warm")]
        return int(finished) + sum(int(count or 0) for count in counts)

    side.fill(redis, "warm", _WARM)
    wait(lambda: sent() >= _WARM, program)
    return program, lambda: connection.rename("parked", side.queue), lambda: sent() - _WARM


if __name__ == "__main__":
    main()
