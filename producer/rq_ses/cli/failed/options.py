"""The options that the commands for failed mails share, and what they make: a filter, or changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import click

from rq_ses import contract
from rq_ses.cli.terminal.inputs import opened
from rq_ses.cli.terminal.options import setting_option, setting_options
from rq_ses.cli.terminal.pairs import pairs
from rq_ses.cli.terminal.redis_errors import reaching_redis
from rq_ses.deadletter import DeadLetters, Filter
from rq_ses.settings.producer import ProducerSettings, load_producer_settings
from rq_ses.text.invalid import shown
from rq_ses.text.localtime import FORM, read_moment
from rq_ses.text.textfile import decoded

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])")
_ID_LIMIT: Final = 300

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Since(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """How long ago something was (45s, 30m, 2h, 3d), or the moment (ISO 8601, local if it has no offset)."""

    name = "since"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        if isinstance(value, timedelta | datetime):
            return value
        found = _AGE.fullmatch(str(value).strip())
        if found is None:
            try:
                return read_moment(str(value).strip())
            except ValueError as exc:
                form = (
                    f"{shown(value)} is no length of time and no moment: write 45s, 30m, 2h or 3d, or {FORM}"
                )
                self.fail(form if "no date and time" in str(exc) else str(exc), param, ctx)
        seconds = float(found[1]) * _UNITS[found[2]]
        if seconds > contract.YEARS:
            self.fail(f"{shown(value)} is too long: give ten years at most", param, ctx)
        return timedelta(seconds=seconds)


def choosing(command: _Command) -> _Command:
    """Give a command the options that choose dead letters."""
    for option in reversed(
        (
            click.option(
                "--code", "codes", multiple=True, help="SES's error (MessageRejected); may be repeated."
            ),
            click.option("--text", help="Part of SES's answer."),
            click.option("--recipient", metavar="ADDRESS", help="An address in to, cc or bcc."),
            click.option("--campaign", metavar="NAME", help="Entries of this campaign alone."),
            click.option("--sender-domain", metavar="DOMAIN", help="Domain of the sender's address."),
            click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Tag; may be repeated."),
            click.option(
                "--older-than",
                type=Since(),
                metavar="AGE|MOMENT",
                help="Failed so long ago or longer (30m, 2h, 3d), or by this moment (ISO 8601).",
            ),
            click.option(
                "--newer-than",
                type=Since(),
                metavar="AGE|MOMENT",
                help="Failed within this time (30m, 2h, 3d), or since this moment (ISO 8601).",
            ),
            click.option(
                "--failed-between",
                nargs=2,
                type=Since(),
                metavar="FROM TO",
                help="Failed from the one (an age or a moment) to the other.",
            ),
            click.option(
                "--ids", "ids_file", metavar="FILE", help="File with a job id a line (- for standard input)."
            ),
        )
    ):
        command = option(command)
    return command


def at_most(command: _Command) -> _Command:
    """Give a command the option that bounds what it moves."""
    option = click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", help="At most N mails, the oldest failures first."
    )
    return option(command)


def asking(moved: str) -> Callable[[_Command], _Command]:
    """Give a command the options by which it only looks, or asks; `moved` tells what becomes of mails."""
    options = (
        click.option("--dry-run", is_flag=True, help=f"Only show what would be {moved}."),
        click.option("--yes", is_flag=True, help="Don't ask."),
        click.option("--json", "as_json", is_flag=True, help="Print what was done as an object of JSON."),
    )

    def given(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return given


def reaching(command: _Command) -> _Command:
    """Give a command the options that say where the dead letters are."""
    queues = setting_option(
        ProducerSettings,
        "queue",
        "RQ queue, with those of the other priorities; -high or -bulk alone; may be repeated",
        multiple="queues",
    )
    return queues(setting_options(ProducerSettings, "redis_url", "config")(command))


def chosen(
    job_ids: tuple[str, ...],
    *,
    ids_file: str | None,
    codes: tuple[str, ...],
    tags: tuple[str, ...],
    failed_between: tuple[timedelta | datetime, timedelta | datetime] | None = None,
    **rest: Any,
) -> Filter:
    """Return the filter that the options make. Raises click.UsageError."""
    if failed_between:
        if rest.get("older_than") is not None or rest.get("newer_than") is not None:
            raise click.UsageError("--failed-between goes without --older-than and --newer-than")
        rest["newer_than"], rest["older_than"] = failed_between
    ids: list[str] | None = None
    if job_ids or ids_file is not None:
        ids = [*job_ids, *(_read_ids(ids_file) if ids_file is not None else ())]
    try:
        return Filter(codes=codes, tags=pairs("--tag", tags, "NAME=VALUE", named=True), ids=ids, **rest)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc


@contextmanager
def reached(queues: tuple[str, ...], redis_url: str | None, config: str | None) -> Iterator[DeadLetters]:
    """Open the dead letters of some queues; end the program when Redis doesn't answer."""
    names: list[str] = []
    settings = load_producer_settings(config=config, redis_url=redis_url)
    for queue in queues or (settings.queue,):
        name = load_producer_settings(config=config, redis_url=redis_url, queue=queue).queue
        alone = bool(queues) and name.endswith(("-high", "-bulk"))
        names += [name] if alone else contract.queue_names(name)
    letters = DeadLetters(settings.redis_url, queues=names, partitions=settings.partitions)
    try:
        with reaching_redis():
            yield letters
    finally:
        letters.partitions.close()


def edits(texts: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the changes that `--set FIELD=VALUE` texts make. Raises click.UsageError."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name:
            raise click.UsageError(f"--set: {shown(text)} has no field or no '=': write FIELD=VALUE")
        field, dot, key = name.partition(".")
        if dot:
            inner = found.setdefault(field, {})
            if not isinstance(inner, dict) or key in inner:
                raise click.UsageError(f"--set: {shown(name)} was given twice: give it once")
            inner[key] = value or None
        elif field in ("to", "cc", "bcc", "reply_to"):
            addresses = found.setdefault(field, [])
            addresses += [value] if value else []
        elif field in found:
            raise click.UsageError(f"--set: {shown(name)} was given twice: give it once")
        else:
            found[field] = value or None
    return found


def _read_ids(name: str) -> list[str]:
    with opened("--ids", name) as source:
        text = decoded(source.read())
    ids = [line.strip() for line in text.split("\n")]
    for number, one in enumerate(ids, 1):
        if len(one) > _ID_LIMIT or " " in one:
            raise click.UsageError(f"--ids: line {number}: {shown(one)} is no job id: write one a line")
    return [one for one in ids if one]
