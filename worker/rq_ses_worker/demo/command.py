"""The command itself: start everything, watch, tell."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
from redis import Redis
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rq.job import Job

from rq_ses import contract
from rq_ses.outbox import Outbox, Submission
from rq_ses_worker.demo.account import (
    STATES,
    Enqueued,
    Verdict,
    failure,
    simulator_requests,
    states,
    verdicts,
)
from rq_ses_worker.demo.processes import clean_environment, local_redis, simulator, worker
from rq_ses_worker.demo.stories import MAX_ATTEMPTS, STORIES, VERIFIED, message

PATIENCE: Final = 60.0
"""Seconds after which the demo gives up on mails that still wait."""

NOT_AS_SCRIPTED: Final = 1
REFRESH: Final = 0.1
_REGION = "us-east-1"
_KEY_ID, _SECRET = "AKIDDEMO", "demo-secret"


@click.command()
@click.option("--keep", is_flag=True, help="Keep the directory with the data and logs.")
def demo(*, keep: bool) -> None:
    """Watch about 200 mails go through a real queue, a worker and a signature-checking SES stand-in.

    Some are sent at once, some again after 5 s or after 1 s, some end in the failed registry with SES's
    words. Needs no Redis, no AWS account and no network.

    Example: rq-ses demo

    Exit codes: 0 every mail ended as scripted, 1 one did not.
    """
    directory = Path(tempfile.mkdtemp(prefix="rq-ses-demo-"))
    try:
        as_scripted = _run(directory, Console())
    finally:
        if keep:
            click.echo(f"data and logs: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    if not as_scripted:
        sys.exit(NOT_AS_SCRIPTED)


def _run(directory: Path, console: Console) -> bool:
    keys = {"AWS_ACCESS_KEY_ID": _KEY_ID, "AWS_SECRET_ACCESS_KEY": _SECRET}
    with ExitStack() as stack:
        console.print(
            "Starting Valkey (append-only file on), the SES simulator (in the sandbox) and a worker …"
        )
        redis_url = stack.enter_context(local_redis(directory / "redis"))
        redis = stack.enter_context(Redis.from_url(redis_url))
        log = stack.enter_context((directory / "processes.log").open("w+"))
        account = ["--region", _REGION, "--sandbox", "--access-key-id", _KEY_ID]
        account += [part for domain in VERIFIED for part in ("--verified", domain)]
        environment = clean_environment(**keys)
        ses_url = stack.enter_context(simulator(account, environment, log))
        environment = clean_environment(
            **keys,
            AWS_REGION=_REGION,
            RQ_SES_REDIS_URL=redis_url,
            RQ_SES_BASE_URL=ses_url,
            RQ_SES_MAX_ATTEMPTS=str(MAX_ATTEMPTS),
        )
        process = stack.enter_context(worker(["--concurrency", "32"], environment, log))
        started = time.monotonic()
        mails = _enqueue(redis_url)
        console.print(f"Enqueued {len(mails)} mails in {time.monotonic() - started:.3f} s.\n")
        ended = _watch(redis, mails, process, console)
        found = verdicts(redis, mails, simulator_requests(ses_url))
        console.print(_summary(found))
        console.print(_failures(redis, mails))
        problems = [problem for verdict in found for problem in verdict.problems]
        for problem in problems[:20]:
            console.print(Text(f"not as scripted: {problem}", style="red"))
        if not ended:
            log.seek(0)
            console.print(Text(log.read()[-4000:], style="dim"))
        if ended and not problems:
            console.print(f"\n[green]All {len(mails)} mails ended as scripted.[/green]")
        return ended and not problems


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
    with Live(console=console, refresh_per_second=10, transient=not console.is_terminal) as live:
        while True:
            counts = states(redis, mails)
            live.update(_table(counts, time.monotonic() - started))
            ended = sum(count["finished"] + count["failed"] for count in counts.values()) == len(mails)
            if ended or process.poll() is not None or time.monotonic() - started > PATIENCE:
                return ended
            time.sleep(REFRESH)


def _table(counts: dict[str, Counter[str]], seconds: float) -> Table:
    table = Table(title=f"{seconds:4.1f} s", title_justify="left")
    table.add_column("story")
    table.add_column("mails", justify="right")
    for state in STATES:
        table.add_column(state, justify="right")
    for story in STORIES:
        count = counts.get(story.title, Counter())
        table.add_row(story.title, str(story.mails), *(str(count[state] or "") for state in STATES))
    return table


def _summary(found: list[Verdict]) -> Table:
    table = Table(title="How each story ended", title_justify="left")
    for name in ("story", "ended", "attempts", "again after (measured)", "as scripted"):
        table.add_column(name)
    for verdict in found:
        story = verdict.story
        attempts = ", ".join(f"{times} × {count}" for count, times in sorted(verdict.attempts.items()))
        table.add_row(
            story.title,
            f"{story.mails} {'sent' if story.ends == 'finished' else 'failed'}",
            attempts,
            _delays(verdict),
            "[red]no[/red]" if verdict.problems else "[green]yes[/green]",
        )
    return table


def _delays(verdict: Verdict) -> str:
    parts = []
    for promised in sorted(set(verdict.story.delays)):
        measured = [delay for delay in verdict.delays if abs(delay - promised) < abs(delay - (6 - promised))]
        if measured:
            parts.append(f"{promised:g} s: {min(measured):.3f} … {max(measured):.3f}")
    return "; ".join(parts)


def _failures(redis: Redis, mails: list[Enqueued]) -> Table:
    lines: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    for mail in mails:
        if mail.story.ends == "failed":
            job = Job.fetch(mail.job_id, connection=redis, serializer=contract.SERIALIZER)
            last = job.get_meta(refresh=False).get("last_outcome", {})
            group = (mail.story.title, str(last.get("code") or last.get("status") or ""))
            lines[group] += 1
            example.setdefault(group, failure(job))
    table = Table(title="In the failed registry, with SES's words", title_justify="left")
    table.add_column("mails", justify="right")
    table.add_column("line of the first one", overflow="fold")
    for group, count in lines.items():
        table.add_row(str(count), Text(example[group]))
    return table
