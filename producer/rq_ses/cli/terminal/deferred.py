"""Options that are settings, for commands that are to be done before the settings' classes are imported."""

from __future__ import annotations

import click


class DeferredOption(click.Option):
    """An option of one of a producer's settings that is a text; its help is read when somebody asks for it.

    It is made of its flag, its metavar and the setting's name alone; a test compares them with the setting's.
    """

    @property
    def help(self) -> str | None:
        """What the setting is for."""
        return self.declared().help

    @help.setter  # noqa: A003 - click's name
    def help(self, text: str | None) -> None:
        """Click sets it, to nothing."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return self.declared().get_help_record(ctx)

    def declared(self) -> click.Option:
        """Return the same option as its setting declares it."""
        from rq_ses.cli.terminal.options import option_of
        from rq_ses.settings.producer import ProducerSettings

        flag, described = option_of(ProducerSettings, str(self.name))
        return click.Option([flag, str(self.name)], **described)
