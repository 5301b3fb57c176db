"""Options made of the declarations of settings: all that a command says of a setting is what is declared."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rq_ses.cli import main
from rq_ses.cli.terminal.options import of_all_priorities, setting_option, setting_options
from rq_ses.settings.declared import describe
from rq_ses.settings.producer import ProducerSettings
from rq_ses_worker.settings.feedback import FeedbackCommandSettings
from rq_ses_worker.settings.worker import WorkerSettings

SETTINGS = {
    one.variables[0]: one for kind in (WorkerSettings, FeedbackCommandSettings) for one in describe(kind)
}


def options(command: click.Command) -> dict[str, click.Option]:
    return {str(one.name): one for one in command.params if isinstance(one, click.Option)}


def taken(*decorators: Any) -> click.Command:
    def command(**given: Any) -> None:
        click.echo(repr(given))

    for decorator in reversed(decorators):
        command = decorator(command)
    return click.command()(command)


def test_they_have_flag_metavar_type_and_help_as_declared_in_the_order_asked_for() -> None:
    names = ("timeout", "aws_region", "on_unknown", "log_sent", "config")
    found = options(taken(setting_options(WorkerSettings, *names)))
    assert tuple(found) == names
    assert (found["timeout"].opts, found["timeout"].metavar, found["timeout"].type) == (
        ["--timeout"],
        "S",
        click.FLOAT,
    )
    assert found["timeout"].help == "Seconds for one whole exchange with SES [RQ_SES_TIMEOUT; default: 5]."
    assert (found["aws_region"].opts, found["aws_region"].metavar) == (["--region"], "REGION")
    assert str(found["aws_region"].help).endswith(" [AWS_REGION].")
    assert list(getattr(found["on_unknown"].type, "choices", ())) == ["resend", "hold"]
    assert (found["log_sent"].is_flag, found["log_sent"].default) == (True, None)
    assert found["config"].help == "TOML file with settings [RQ_SES_CONFIG]."


def test_the_file_is_an_option_of_classes_that_have_no_field_for_it() -> None:
    assert "config" not in ProducerSettings.model_fields
    assert list(options(taken(setting_options(ProducerSettings, "config")))) == ["config"]


def test_a_command_may_say_in_its_own_words_what_it_is_for_and_take_it_repeatedly() -> None:
    command = taken(setting_option(ProducerSettings, "queue", "Queues", multiple="queues"))
    assert options(command)["queues"].help == "Queues [RQ_SES_QUEUE; default: mail]."
    done = CliRunner().invoke(command, ["--queue", "a", "--queue", "b"])
    assert done.output == "{'queues': ('a', 'b')}\n"
    assert str(options(taken(of_all_priorities))["queue"].help).startswith(
        "RQ queue, with those of all priorities"
    )


def test_what_is_not_given_is_none_and_left_to_the_environment() -> None:
    done = CliRunner().invoke(taken(setting_options(WorkerSettings, "log_sent", "lease", "queue")), [])
    assert done.output == "{'log_sent': None, 'lease': None, 'queue': None}\n"


@pytest.mark.parametrize("value", ["x", "1.5", ""])
def test_what_is_no_number_is_clicks_usage_error(value: str) -> None:
    done = CliRunner().invoke(taken(setting_options(WorkerSettings, "concurrency")), ["--concurrency", value])
    assert done.exit_code == 2
    assert "Invalid value for '--concurrency'" in done.output


def commands(group: click.Group = main) -> dict[str, click.Command]:
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found |= commands(command) if isinstance(command, click.Group) else {name: command}
    return found


def test_every_option_whose_help_names_a_settings_variable_is_that_settings() -> None:
    seen = set()
    for name, command in commands().items():
        for option in options(command).values():
            variable = re.search(r"\[((?:RQ_SES|AWS)_[A-Z_]+)(?:; default: (.+))?\]\.$", option.help or "")
            if variable is None or variable[1].startswith("RQ_SES_SIMULATOR"):
                continue
            setting = SETTINGS[variable[1]]
            flag, _, metavar = setting.option.partition(" ")
            assert (option.opts, option.metavar) == ([flag], metavar or None), f"rq-ses {name} {flag}"
            if variable[2]:
                assert variable[2] == setting.default_text
            seen.add(setting.name)
    assert seen == {one.name for one in SETTINGS.values() if one.option}
