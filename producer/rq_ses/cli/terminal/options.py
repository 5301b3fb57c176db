"""Options of commands that are settings: made of their declarations, help and type included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rq_ses.cli import leanredis  # noqa: F401 - before anything else imports redis-py
from rq_ses.settings.base import Settings
from rq_ses.settings.loading import CONFIG
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.setting import Setting

_Command = TypeVar("_Command", bound=Callable[..., Any])


def setting_options(kind: type[Settings], *names: str) -> Callable[[_Command], _Command]:
    """Give a command the options of settings of a class, by their names, in this order."""

    def give(command: _Command) -> _Command:
        for name in reversed(names):
            command = setting_option(kind, name)(command)
        return command

    return give


def setting_option(
    kind: type[Settings], name: str, meaning: str = "", *, multiple: str = ""
) -> Callable[[_Command], _Command]:
    """Give a command the option of one setting.

    Args:
        kind: the class that declares it; `config` counts for all of them.
        name: of the setting.
        meaning: what it is for in this command, if that is more than the declaration says.
        multiple: the parameter's name if the option may be repeated.
    """
    flag, described = option_of(kind, name, meaning)
    return click.option(flag, multiple or name, multiple=bool(multiple), **described)


def option_of(kind: type[Settings], name: str, meaning: str = "") -> tuple[str, dict[str, Any]]:
    """Return the flag of a setting, and what click is to know of that option."""
    # Whatever the class, its loader takes the file's name.
    setting = Setting.of(name, CONFIG if name == "config" else kind.model_fields[name])
    flag, _, metavar = setting.option.partition(" ")
    return flag, {"help": _help(setting, meaning), "metavar": metavar or None, **_values(setting)}


def _help(setting: Setting, meaning: str) -> str:
    is_told = setting.default_text and setting.kind is not bool
    default = f"; default: {setting.default_text}" if is_told else ""
    return f"{meaning or setting.meaning.removesuffix('.')} [{setting.variables[0]}{default}]."


def _values(setting: Setting) -> dict[str, Any]:
    if setting.kind is bool:
        # None: a flag that isn't given leaves the word to the environment.
        return {"is_flag": True, "default": None}
    if setting.choices:
        return {"type": click.Choice(setting.choices)}
    return {"type": setting.kind if setting.kind in (int, float) else str}


of_all_priorities = setting_option(ProducerSettings, "queue", "RQ queue, with those of all priorities")
"""Gives a command the option --queue, where it stands for the queues of the other priorities, too."""
