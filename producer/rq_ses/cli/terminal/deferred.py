"""Options that are settings, for commands that are to be done before the settings' classes are imported."""

from __future__ import annotations

from typing import Any

import click


class DeferredOption(click.Option):
    """An option of one of a producer's settings that is a text; its help is read when somebody asks for it.

    Args:
        param_decls: its flag, and the setting's name.
        attrs: none: all is declared with the setting.
    """

    def __init__(self, param_decls: Any = None, **attrs: Any) -> None:
        super().__init__(param_decls, **attrs)
        self.help = None

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return self.declared().get_help_record(ctx)

    def declared(self) -> click.Option:
        """Return the same option as its setting declares it."""
        from rq_ses.cli.terminal.options import option_of
        from rq_ses.settings.producer import ProducerSettings

        flag, described = option_of(ProducerSettings, str(self.name))
        return click.Option([flag, str(self.name)], **described)
