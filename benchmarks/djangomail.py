"""How fast Django's send_mail enqueues through rq_ses.django, beside Outbox.send and django-post-office.

    python -m benchmarks.djangomail [--mails 2000] [--rounds 7]

Prints a table in Markdown, and writes nothing. All take turns in one process on a core of its own; Valkey has
the other. django-post-office keeps its mails in SQLite on /dev/shm, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import django
from django.conf import settings

from benchmarks.harness.mails import POOL, RECIPIENT, SENDER, message, prose
from benchmarks.harness.processtree import cores, pin
from benchmarks.harness.services import Store, pinned, store
from rq_ses import Outbox

Sender = Callable[[int], object]
"""Sends the mail of a number."""

BLOCK = 500
"""Mails of a transaction."""

OURS, OUTBOX, POST_OFFICE = (
    "`send_mail` by rq_ses.django",
    "`Outbox.send(Message(…))`",
    "post_office's `mail.send`",
)
IN_BLOCKS = f", in transactions of {BLOCK}"
GOALS = {OUTBOX: 0.6, POST_OFFICE: 5.0}
"""How many times as fast ours must be."""


@dataclass
class Found:
    """What the rounds of one way have found: mails a second, and seconds of CPU a mail, ours and Redis's."""

    rates: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        tempfile.TemporaryDirectory(prefix="bench-", dir="/dev/shm") as memory,
        store(Path(directory)) as redis,
    ):
        pin(redis.pid, {cores()[1]})
        _configure(redis.url, Path(memory))
        ways = _ways(redis.url)
        found = {name: Found() for name in ways}
        with pinned({cores()[0]}):
            for work in ways.values():
                work(50)
            for _ in range(given.rounds):
                redis.connection.flushall()
                for name, work in ways.items():
                    _measure(found[name], work, given.mails, redis)
    _print(found)


def _measure(found: Found, work: Callable[[int], None], count: int, redis: Store) -> None:
    began, own, theirs = time.perf_counter(), time.process_time(), redis.cpu
    work(count)
    found.rates.append(count / (time.perf_counter() - began))
    found.own.append((time.process_time() - own) / count)
    found.redis.append((redis.cpu - theirs) / count)


def _configure(url: str, memory: Path) -> None:
    # Not to be given up where others use the machine.
    options = {"redis_url": url, "enqueue_timeout": 30}
    settings.configure(
        INSTALLED_APPS=["post_office", "rq_ses.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(memory / "db.sqlite3")}},
        **(
            {"MAILERS": {"default": {"BACKEND": "rq_ses.django.EmailBackend", "OPTIONS": options}}}
            if django.VERSION >= (6, 1)
            else {"EMAIL_BACKEND": "rq_ses.django.EmailBackend", "RQ_SES": options}
        ),
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _ways(url: str) -> dict[str, Callable[[int], None]]:
    from django.core.mail import send_mail
    from post_office import mail

    outbox, texts = Outbox(url), [prose(seed) for seed in range(POOL)]

    def ours(number: int) -> None:
        send_mail(f"Your order {number}", texts[number % POOL], SENDER, [RECIPIENT])

    def post_office(number: int) -> None:
        text = texts[number % POOL]
        mail.send([RECIPIENT], SENDER, subject=f"Your order {number}", message=text)

    return {
        OURS: _one_by_one(ours),
        OUTBOX: _one_by_one(lambda number: outbox.send(message(number, text=texts[number % POOL]))),
        POST_OFFICE: _one_by_one(post_office),
        OURS + IN_BLOCKS: _in_blocks(ours),
        POST_OFFICE + IN_BLOCKS: _in_blocks(post_office),
    }


def _one_by_one(send: Sender) -> Callable[[int], None]:
    def work(count: int) -> None:
        for number in range(count):
            send(number)

    return work


def _in_blocks(send: Sender) -> Callable[[int], None]:
    from django.db import transaction

    def work(count: int) -> None:
        for start in range(0, count, BLOCK):
            with transaction.atomic():
                for number in range(start, min(start + BLOCK, count)):
                    send(number)

    return work


def _print(found: dict[str, Found]) -> None:
    print("|  | mails/s | CPU µs a mail | of Redis | ours ÷ it: mails/s | by CPU | goal |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, one in found.items():
        own, redis = (statistics.median(values) * 1e6 for values in (one.own, one.redis))
        ours = found[OURS + IN_BLOCKS if IN_BLOCKS in name else OURS]
        cells = ["", "", ""]
        if one is not ours:
            rates = [mine / theirs for mine, theirs in zip(ours.rates, one.rates, strict=True)]
            cpu = [theirs / mine for mine, theirs in zip(ours.own, one.own, strict=True)]
            cells = [_spread(rates, ".2f"), _spread(cpu, ".2f"), f"≥ {GOALS[name]}" if name in GOALS else ""]
        print(f"| {name} | {_spread(one.rates, ',.0f')} | {own:.0f} | {redis:.0f} | {' | '.join(cells)} |")


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


if __name__ == "__main__":
    main()
