"""Options that are declared with settings: some command must offer each."""

from __future__ import annotations

import click
import pytest

from rq_ses.cli import main
from rq_ses.settings.declared import describe
from rq_ses.settings.setting import Setting
from rq_ses_worker.settings.worker import WorkerSettings


def offered() -> set[str]:
    """Return the flags of all commands, and of theirs."""
    found: set[str] = set()
    left: list[click.Command] = [main]
    while left:
        command = left.pop()
        found.update(flag for parameter in command.params for flag in parameter.opts)
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            left += [each for name in names if (each := command.get_command(context, name)) is not None]
    return found


@pytest.mark.parametrize(
    "setting", [one for one in describe(WorkerSettings) if one.option], ids=lambda one: one.name
)
def test_some_command_offers_the_option_that_a_setting_declares(setting: Setting) -> None:
    assert setting.option.split()[0] in offered()
