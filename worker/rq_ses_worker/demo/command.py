"""The command itself: start everything, watch, tell."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click
from redis import Redis
from rich.console import Console
from rich.live import Live
from rich.text import Text
from rq import Worker

from rq_ses.cli.terminal.screen import console
from rq_ses.outbox.outbox import Outbox
from rq_ses.outbox.submission import Submission
from rq_ses.states import FAILED, FINISHED
from rq_ses_worker.demo import tables
from rq_ses_worker.demo.processes import clean_environment, local_redis, log_tail, simulator, worker
from rq_ses_worker.demo.stories import MAX_ATTEMPTS, STORIES, VERIFIED, message
from rq_ses_worker.demo.verdicts import Enqueued, ending, simulator_requests, states, verdicts

PATIENCE: Final = 60.0
"""Seconds after which the demo gives up on mails that still wait."""

NOT_AS_SCRIPTED: Final = 1
INTERRUPTED: Final = 128
"""Plus the signal's number, as shells have it."""

TIMEOUT: Final = 20
"""Seconds the worker waits for an answer: on a busy machine a late one is no part of a story."""

REFRESH: Final = 0.1
WIDTH: Final = 100
"""Columns of output that isn't a terminal's."""

_REGION = "us-east-1"
_KEY_ID, _SECRET = "AKIDDEMO", "demo-secret"
_PROBLEMS_SHOWN: Final = 20
_INTRODUCTION: Final = """\
200 mails go through a queue in Valkey, a worker and a stand-in for Amazon SES
that checks signatures. It refuses some for now (429: tried again after 5 s;
503: after 1 s) and some for good (failed registry), as their stories say."""


@click.command()
@click.option("--keep", is_flag=True, help="Keep the directory with the data and logs.")
def demo(*, keep: bool) -> None:
    """Watch about 200 mails go through a real queue, a worker and a signature-checking SES stand-in.

    Some are sent at once, some again after 5 s or after 1 s, some end in the failed registry with SES's
    words. Needs no Redis, no AWS account and no network; leaves nothing behind.

    \b
    Example:
      rq-ses demo

    Exit codes: 0 every mail ended as scripted, 1 one did not, 130 interrupted.
    """
    for module in ("aiohttp", "requests"):
        if importlib.util.find_spec(module) is None:
            raise click.ClickException(f"demo needs {module}: pip install 'rq-ses[all]'")
    with _interruptible():
        directory = Path(tempfile.mkdtemp(prefix="rq-ses-demo-"))
        try:
            as_scripted = _run(directory, console(piped=WIDTH))
        finally:
            if keep:
                click.echo(f"data and logs: {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)
    if not as_scripted:
        sys.exit(NOT_AS_SCRIPTED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a signal end the block by an exception, so that it cleans up; further ones can't disturb that.

    One that is ignored, as nohup and a script's background jobs have it, stays so.
    """
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        click.echo("interrupted: everything is being stopped and removed", err=True)
        sys.exit(INTERRUPTED + number)

    before = [(number, signal.signal(number, interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _run(directory: Path, console: Console) -> bool:
    console.print(_INTRODUCTION, highlight=False)
    keys = {"AWS_ACCESS_KEY_ID": _KEY_ID, "AWS_SECRET_ACCESS_KEY": _SECRET}
    with ExitStack() as stack:
        redis_url = stack.enter_context(local_redis(directory / "redis"))
        redis = stack.enter_context(Redis.from_url(redis_url))
        log = stack.enter_context((directory / "processes.log").open("w"))
        account = ["--region", _REGION, "--sandbox", "--access-key-id", _KEY_ID]
        account += [part for domain in VERIFIED for part in ("--verified", domain)]
        ses_url = stack.enter_context(simulator(account, clean_environment(**keys), log))
        environment = clean_environment(
            **keys,
            AWS_REGION=_REGION,
            RQ_SES_REDIS_URL=redis_url,
            RQ_SES_BASE_URL=ses_url,
            RQ_SES_MAX_ATTEMPTS=str(MAX_ATTEMPTS),
            RQ_SES_TIMEOUT=str(TIMEOUT),
            # Whole batches fail here as scripted; the breaker would take it for an outage.
            RQ_SES_BREAKER_FAILURES="1000",
        )
        process = stack.enter_context(worker(["--concurrency", "32"], environment, log))
        _await_worker(redis, process)
        started = time.monotonic()
        mails = _enqueue(redis_url)
        console.print(
            f"\nEnqueued {len(mails)} mails in {time.monotonic() - started:.3f} s.", highlight=False
        )
        ended = _watch(redis, mails, process, console)
        found = verdicts(redis, mails, simulator_requests(ses_url))
        console.print(tables.stories(found), tables.failures(_failed(redis, mails)), sep="\n")
        problems = [problem for verdict in found for problem in verdict.problems]
        for problem in problems[:_PROBLEMS_SHOWN]:
            console.print(Text(f"not as scripted: {problem}", style="red"))
        if len(problems) > _PROBLEMS_SHOWN:
            console.print(Text(f"and {len(problems) - _PROBLEMS_SHOWN} more", style="red"))
        if not ended:
            console.print(Text(log_tail(directory / "processes.log"), style="dim"))
        if ended and not problems:
            console.print(Text(f"\nAll {len(mails)} mails ended as scripted.", style="green"))
        return ended and not problems


def _await_worker(redis: Redis, process: subprocess.Popen[bytes]) -> None:
    """Wait until the worker is registered; one that never is shows in what becomes of the mails."""
    end = time.monotonic() + PATIENCE
    while not Worker.count(connection=redis) and process.poll() is None and time.monotonic() < end:
        time.sleep(REFRESH)


def _enqueue(redis_url: str) -> list[Enqueued]:
    outbox = Outbox(redis_url)
    mails = []
    for story in STORIES:
        messages = [message(story, n) for n in range(story.mails)]
        keys = [f"demo-{story.title}-{n}" if story.keyed else None for n in range(story.mails)]
        submissions = [Submission(m, key) for m, key in zip(messages, keys, strict=True)]
        receipts = outbox.send_many(submissions)
        if story.keyed:
            receipts = outbox.send_many(submissions)
        mails += [
            Enqueued(story, receipt.job_id, m.recipients[0])
            for m, receipt in zip(messages, receipts, strict=True)
        ]
    return mails


def _watch(redis: Redis, mails: list[Enqueued], process: subprocess.Popen[bytes], console: Console) -> bool:
    """Show the states until every mail has ended; tell whether all have."""
    started = time.monotonic()
    next_line = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            counts = states(redis, mails)
            seconds = time.monotonic() - started
            everywhere = tables.totals(counts)
            ended = everywhere[FINISHED] + everywhere[FAILED] == len(mails)
            if console.is_terminal:
                live.update(tables.standing(counts, seconds), refresh=True)
            elif ended or seconds >= next_line:
                next_line = seconds + 1
                console.print(tables.standing_line(counts, seconds), highlight=False)
            if ended or process.poll() is not None or seconds > PATIENCE:
                return ended
            time.sleep(REFRESH)


def _failed(redis: Redis, mails: list[Enqueued]) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = defaultdict(list)
    for mail in mails:
        if mail.story.ends == FAILED:
            lines[mail.story.title].append(ending(redis, mail)[1])
    return lines
