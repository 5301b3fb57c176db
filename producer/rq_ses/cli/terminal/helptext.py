"""What click's help leaves out: descriptions that don't fit a line."""

from __future__ import annotations

import click

_WHOLE = 1000
"""Characters; no command's first sentence has as many."""


class WholeGroup(click.Group):
    """Lists its commands with whole sentences, where click would cut them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, text in named if text is not None])

    def summary(self, ctx: click.Context, name: str) -> str | None:
        """Return the first sentence about a command, None if there is no such command."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(_WHOLE) if command else None
