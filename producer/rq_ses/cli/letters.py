"""What the commands about dead letters share: options that choose them, and how they are shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import click
from redis.exceptions import RedisError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from rq_ses import contract
from rq_ses.cli.exits import UNAVAILABLE
from rq_ses.cli.screen import console
from rq_ses.deadletter import DeadLetters, Filter, Group, Groups
from rq_ses.invalid import shown
from rq_ses.plaintext import one_line
from rq_ses.settings import load_producer_settings
from rq_ses.textfile import NotText, decoded, read_text

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])")
_ID_LIMIT: Final = 300

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Age(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A length of time: 45s, 30m, 2h, 3d."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = _AGE.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{shown(value)} is no length of time: write 45s, 30m, 2h or 3d", param, ctx)
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
            click.option("--sender-domain", metavar="DOMAIN", help="Domain of the sender's address."),
            click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Tag; may be repeated."),
            click.option("--older-than", type=Age(), help="Failed so long ago or longer (30m, 2h, 3d)."),
            click.option("--newer-than", type=Age(), help="Failed within this time (30m, 2h, 3d)."),
            click.option(
                "--ids", "ids_file", metavar="FILE", help="File with a job id a line (- for standard input)."
            ),
        )
    ):
        command = option(command)
    return command


def reaching(command: _Command) -> _Command:
    """Give a command the options that say where the dead letters are."""
    for option in reversed(
        (
            click.option(
                "--queue",
                "queues",
                multiple=True,
                metavar="NAME",
                help="RQ queue, with those of the other priorities; -high or -bulk alone; may be repeated "
                "[RQ_SES_QUEUE].",
            ),
            click.option("--redis-url", metavar="URL", help="Redis server [RQ_SES_REDIS_URL]."),
            click.option("--config", metavar="FILE", help="TOML file with settings [RQ_SES_CONFIG]."),
        )
    ):
        command = option(command)
    return command


def chosen(
    job_ids: tuple[str, ...],
    *,
    ids_file: str | None,
    codes: tuple[str, ...],
    tags: tuple[str, ...],
    **rest: Any,
) -> Filter:
    """Return the filter that the options make."""
    ids: list[str] | None = None
    if job_ids or ids_file is not None:
        ids = [*job_ids, *(_read_ids(ids_file) if ids_file is not None else ())]
    return Filter(codes=codes, tags=pairs("--tag", tags), ids=ids, **rest)


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping. Raises click.UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.UsageError(f"{option}: {shown(text)} has no name or no '=': write NAME=VALUE")
        if name.strip() in found:
            raise click.UsageError(f"{option}: {shown(name)} was given twice: give it once")
        found[name.strip()] = value.strip()
    return found


@contextmanager
def reached(queues: tuple[str, ...], redis_url: str | None, config: str | None) -> Iterator[DeadLetters]:
    """Open the dead letters of some queues; end the program when Redis doesn't answer."""
    names: list[str] = []
    settings = load_producer_settings(config=config, redis_url=redis_url)
    for queue in queues or (settings.queue,):
        name = load_producer_settings(config=config, redis_url=redis_url, queue=queue).queue
        alone = bool(queues) and name.endswith(("-high", "-bulk"))
        names += [name] if alone else contract.queue_names(name)
    letters = DeadLetters(settings.redis_url, queues=names)
    try:
        yield letters
    except RedisError as exc:
        reason = one_line(f"{type(exc).__name__}: {exc}", 300)
        click.echo(
            f"Error: Redis did not answer ({reason}): "
            "check RQ_SES_REDIS_URL and the server, then run this again",
            err=True,
        )
        sys.exit(UNAVAILABLE)
    finally:
        letters.connection.close()


def progress(total: int | None = None) -> Progress:
    """Return a progress bar for stderr, drawn if that is a terminal; its task is to be added."""
    measure = (SpinnerColumn(), TextColumn("{task.completed:,} read")) if total is None else (
        BarColumn(), MofNCompleteColumn())  # fmt: skip
    return Progress(
        TextColumn("{task.description}"),
        *measure,
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        # rich would print on stderr what goes to a file or a pipe.
        redirect_stdout=sys.stdout.isatty(),
    )


def group_lines(group: Group, now: datetime) -> list[str]:
    """Return a group as lines for a terminal."""
    lines = [f"{group.count:>9,}  {failure(group.code, group.cause)}"]
    span = when(group.oldest, now)
    if group.newest != group.oldest:
        span = f"{span} to {when(group.newest, now)}"
    unknown = f"; {group.unknown:,} of them SES may have accepted" if group.unknown else ""
    lines.append(f"{'':11}failed {span}{unknown}")
    if hint := group.hint:
        lines.append(f"{'':11}Hint: {one_line(hint, 1000)}")
    return lines


def group_object(group: Group) -> dict[str, Any]:
    """Return a group as an object for JSON."""
    return {
        "code": group.code,
        "cause": group.cause,
        "count": group.count,
        "unknown": group.unknown,
        "oldest": group.oldest.isoformat() if group.oldest else None,
        "newest": group.newest.isoformat() if group.newest else None,
        "hint": group.hint,
    }


def passed_over(found: Groups) -> list[str]:
    """Return lines about what isn't in the groups."""
    lines = []
    if found.gone:
        lines.append(f"{counted(found.gone, 'entry', 'entries')} without a failed job passed over")
    if found.foreign:
        lines.append(f"{counted(found.foreign, 'job that is no mail', 'jobs that are no mails')} passed over")
    return lines


def failure(code: str, message: str) -> str:
    """Return what went wrong on one inert line."""
    head = one_line(code, 120)
    text = one_line(message, 500)
    return f"{head}: {text}" if text else head


def when(moment: datetime | None, now: datetime) -> str:
    """Return a moment with its distance from now."""
    if moment is None:
        return "at an unknown time"
    seconds = int((now - moment).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            distance = f"{seconds // length} {unit} ago"
            break
    else:
        distance = f"{max(0, seconds)} s ago"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({distance})"


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def missing(wanted: Filter, seen: int) -> int:
    """Return how many of the named jobs are no dead letters; 0 where other filters may have left them out."""
    plain = Filter(ids=wanted.ids)
    return len(set(wanted.ids)) - seen if wanted.ids is not None and wanted == plain else 0


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
    try:
        text = decoded(sys.stdin.buffer.read()) if name == "-" else read_text(name)
    except OSError as exc:
        raise click.UsageError(f"--ids: {name!r} can't be read: {exc.strerror}") from exc
    except NotText as exc:
        raise click.UsageError(f"--ids: {name!r} can't be read: {exc}") from exc
    ids = [line.strip() for line in text.split("\n")]
    for number, one in enumerate(ids, 1):
        if len(one) > _ID_LIMIT or " " in one:
            raise click.UsageError(f"--ids: line {number}: {shown(one)} is no job id: write one a line")
    return [one for one in ids if one]
