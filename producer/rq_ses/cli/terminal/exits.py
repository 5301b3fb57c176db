"""What the exit codes of `rq-ses` mean: one table, which help and documentation follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self, TypeVar

import click


class ExitCode(int):
    """An exit code: what it means, whatever the command, and what to do then.

    A number like any other for `sys.exit` and for who compares it.
    """

    meaning: str
    remedy: str

    def __new__(cls, number: int, meaning: str, remedy: str = "") -> Self:
        code = super().__new__(cls, number)
        code.meaning = meaning
        code.remedy = remedy
        return code


OK: Final = ExitCode(0, "done")
INCOMPLETE: Final = ExitCode(1, "done in part, or not at all", "stderr says what was not done, and why")
USAGE: Final = ExitCode(2, "bad command line", "nothing was touched: mend it")
SETTINGS: Final = ExitCode(3, "bad settings", "nothing was touched: mend them")
UNAVAILABLE: Final = ExitCode(4, "no Redis", "run it again when Redis answers in time")
UNFIT: Final = ExitCode(
    5, "Redis would lose mails as it is set up", "`rq-ses doctor` says what to change, and where"
)
DENIED: Final = ExitCode(
    6, "Redis refuses this user a command (ACL)", "give the user the right that stderr names"
)

CODES: Final = (OK, INCOMPLETE, USAGE, SETTINGS, UNAVAILABLE, UNFIT, DENIED)
"""All of them. USAGE is click's own, and means the same in most programs."""

_Command = TypeVar("_Command", bound=click.Command)


def ends_with(
    codes: Mapping[ExitCode, str], *, always: Iterable[ExitCode] = (USAGE, SETTINGS)
) -> Callable[[_Command], _Command]:
    """Declare the exit codes of a command, and close its help with all of them.

    Args:
        codes: what each means for this command; "" where that is what it means everywhere.
        always: those that it has besides, as most commands have.
    """
    meanings = {**dict.fromkeys(always, ""), **codes}
    shown = ", ".join(f"{code} {meanings[code] or code.meaning}" for code in sorted(meanings))

    def declare(command: _Command) -> _Command:
        # As one paragraph: click wraps it to the terminal's width.
        command.help = f"{inspect.cleandoc(command.help or '')}\n\nExit codes: {shown}."
        return command

    return declare
