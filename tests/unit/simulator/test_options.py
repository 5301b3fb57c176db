"""What an account can be told, and which values are refused: as the settings are declared."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click
import pytest

from rq_ses_worker.simulator.cli import simulator
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.settings import ACCOUNT, SETTINGS


def test_an_account_has_the_declared_options_with_the_declared_defaults() -> None:
    assert [field.name for field in fields(Options)] == ["credentials", *(one.name for one in ACCOUNT)]
    for setting in ACCOUNT:
        assert getattr(Options(), setting.name) == setting.default, setting.name


def test_each_setting_is_an_option_of_the_command_with_its_variables() -> None:
    options = [parameter for parameter in simulator.params if isinstance(parameter, click.Option)]
    assert [(option.opts[0], tuple(option.envvar or ())) for option in options] == [
        (setting.option, setting.variables) for setting in SETTINGS
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"credentials": ()}, "credentials: at least one access key id with its secret is needed"),
        ({"region": ""}, "region: must not be empty"),
        ({"error_shape": "xml"}, "error_shape: 'xml' is none of header, body, alternate"),
        ({"skew": -1.0}, "skew: -1.0 is not a number from 0 upwards"),
        ({"rate": float("nan")}, "rate: nan is not a number from 0 upwards"),
        ({"quota": -1}, "quota: -1 is not a number from 0 upwards"),
        ({"keep": 0}, "keep: 0 is less than 1"),
        ({"skew": 604_801.0}, "skew and clock_offset: at most a week and ten years, in seconds"),
        ({"clock_offset": float("nan")}, "skew and clock_offset: at most a week and ten years, in seconds"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Options(**options)
    assert str(caught.value) == words


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match="one text: give a list of them"):
        Options(verified="example.com")
