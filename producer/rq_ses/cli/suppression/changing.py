"""`rq-ses suppression add`, `remove` and `list`: addresses by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC
from typing import Any, cast

import click

from rq_ses.cli.suppression.group import reached, reaching
from rq_ses.cli.terminal import output
from rq_ses.cli.terminal.exits import INCOMPLETE, OK, UNAVAILABLE, ends_with
from rq_ses.suppression import REASONS, Reason, Suppressed, normal_form
from rq_ses.suppression.address import is_simulated
from rq_ses.suppression.files import entry_object
from rq_ses.text.figures import counted
from rq_ses.text.plaintext import one_line


def _checked(addresses: Sequence[str]) -> list[str]:
    """Return addresses in their normal forms, each once. Raises click.UsageError."""
    forms = []
    for address in addresses:
        try:
            forms.append(normal_form(address))
        except ValueError as exc:
            raise click.UsageError(f"ADDRESS: {exc}") from None
    return list(dict.fromkeys(forms))


@ends_with({OK: "all are on the list", UNAVAILABLE: ""})
@click.command()
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--reason", type=click.Choice(REASONS), default="manual", show_default=True, help="Why.")
@click.option("--text", default="", help="What else is worth keeping: 48 bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON for each address.")
@reaching
def add(*, addresses: tuple[str, ...], reason: str, text: str, as_json: bool, **where: Any) -> None:
    """Put addresses onto the list: from now on no mail is sent to them.

    ADDRESS is one that a mail can have; all spellings of it are one. One that is there already stays as it
    is, unless this reason is the worse: manual, ses, bounce, complaint.

    \b
    Examples:
      rq-ses suppression add ann@example.com bob@example.com
      rq-ses suppression add ann@example.com --reason complaint --text "by letter"
    """
    forms = _checked(addresses)
    for form in forms:
        if is_simulated(form):
            raise click.UsageError(
                f"ADDRESS: {form!r} is one of SES's mailbox simulator, which is on no list: leave it out"
            )
    with reached(**where) as found:
        for form in forms:
            word = found.add(form, reason=cast(Reason, reason), text=text)
            if as_json:
                output.echo(json.dumps({"address": form, "result": word}))
            output.echo(f"{form}: {_WORDS[word]}", err=True)


_WORDS = {
    "added": "added",
    "changed": "was on the list, now for this reason",
    "known": "was on the list already, and stays as it was",
}


@ends_with({OK: "all were on the list", INCOMPLETE: "some were not", UNAVAILABLE: ""})
@click.command()
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON for each address.")
@reaching
def remove(*, addresses: tuple[str, ...], as_json: bool, **where: Any) -> None:
    """Take addresses off the list: mails are sent to them again.

    Mails that failed because of an ADDRESS stay failed, to be resent. SES's own list is another one: what is
    on both is still refused there, until it is taken off in SES, too.

    \b
    Examples:
      rq-ses suppression remove ann@example.com
      rq-ses resend --code Suppressed --recipient ann@example.com
    """
    forms, missing = _checked(addresses), 0
    with reached(**where) as found:
        for form in forms:
            there = found.remove(form)
            missing += not there
            if as_json:
                output.echo(json.dumps({"address": form, "result": "removed" if there else "missing"}))
            output.echo(f"{form}: {'removed' if there else 'was not on the list'}", err=True)
    if missing:
        sys.exit(INCOMPLETE)


@ends_with({OK: "shown", INCOMPLETE: "some of those named are not on the list", UNAVAILABLE: ""})
@click.command("list")
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option(
    "--reason", "reasons", type=click.Choice(REASONS), multiple=True, help="Only these; may be repeated."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N addresses.")
@click.option("--count", "only_count", is_flag=True, help="Only count them.")
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON for each address.")
@reaching
def list_(
    *,
    addresses: tuple[str, ...],
    reasons: tuple[str, ...],
    limit: int | None,
    only_count: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Show the list, or what it says of some addresses: each with the reason, since when, and a text.

    Without ADDRESS it is the whole list, in no order; sort it if you need one.

    \b
    Examples:
      rq-ses suppression list
      rq-ses suppression list ann@example.com
      rq-ses suppression list --reason complaint --json | jq -r .address
      rq-ses suppression list --count
    """
    forms = _checked(addresses)
    with reached(**where) as found:
        if only_count and not (forms or reasons):
            _tell_count(found.count(), as_json=as_json)
            return
        known = found.suppressed_of(forms) if forms else {}
        shown = _shown(
            known.values() if forms else found, reasons, limit, only_count=only_count, as_json=as_json
        )
    if only_count:
        _tell_count(shown, as_json=as_json)
    else:
        output.echo(counted(shown, "address", "addresses"), err=True)
    missing = [form for form in forms if form not in known]
    for form in missing:
        output.echo(f"{form}: is not on the list", err=True)
    if missing:
        sys.exit(INCOMPLETE)


def _tell_count(number: int, *, as_json: bool) -> None:
    output.echo(json.dumps({"addresses": number}) if as_json else str(number))


def _shown(
    entries: Any, reasons: Sequence[str], limit: int | None, *, only_count: bool, as_json: bool
) -> int:
    """Print those that are wanted; return how many they are."""
    number = 0
    for one in entries:
        if reasons and one.reason not in reasons:
            continue
        if limit is not None and number == limit:
            break
        number += 1
        if not only_count:
            output.echo(json.dumps(entry_object(one)) if as_json else _row(one))
        if output.broken():
            sys.exit(INCOMPLETE)  # looking changes nothing, and nobody looks any more
    return number


def _row(one: Suppressed) -> str:
    when = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{one_line(one.address, 320, markup=True)}  {one.reason}  {when}  {one.text}".rstrip()
