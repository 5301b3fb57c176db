"""What click's help leaves out: descriptions that don't fit a line, and the settings' defaults."""

from __future__ import annotations

import re

import click
from pydantic_settings import BaseSettings

_VARIABLE = re.compile(r"\[([A-Z][A-Z0-9_]+)\](?=\.?$)")


_WHOLE = 1000
"""Characters; no command's first sentence has as many."""


class WholeGroup(click.Group):
    """Lists its commands with whole sentences, where click would cut them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(_WHOLE)) for name, one in names if one])


def show_defaults(command: click.Command, settings: type[BaseSettings]) -> click.Command:
    """Write the settings' defaults into the help of options of their names: [RQ_SES_LEASE; default: 30]."""
    for option in command.params:
        field = settings.model_fields.get(option.name or "")
        if not isinstance(option, click.Option) or option.is_flag or field is None:
            continue
        default = field.default
        if isinstance(default, str | int | float) and not isinstance(default, bool):
            shown = str(default).removesuffix(".0")
            option.help = _VARIABLE.sub(rf"[\1; default: {shown}]", option.help or "")
    return command
