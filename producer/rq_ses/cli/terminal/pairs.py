"""Options that give a name and a value in one text."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_ses.text.invalid import shown


def pairs(
    option: str, texts: Sequence[str], form: str, *, separator: str = "=", named: bool = False
) -> dict[str, str]:
    """Return names and values of an option that may be repeated, without the blanks around them.

    Args:
        option: as it stands on the command line.
        texts: what it was given, each time.
        form: how it is to be written, for the error.
        separator: what stands between name and value.
        named: refuse an empty name here; else that is left to what takes the pairs.

    Raises:
        click.UsageError: a text has no separator, or a name was given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition(separator))
        if not sign or (named and not name):
            lack = f"no name or no {separator!r}" if named else f"no {separator!r}"
            raise click.UsageError(f"{option}: {shown(text)} has {lack}: write {form}")
        if name in found:
            raise click.UsageError(f"{option}: {shown(name)} was given twice: give it once")
        found[name] = value
    return found
