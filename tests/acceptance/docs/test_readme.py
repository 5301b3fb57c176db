"""What the README shows works, and what it lists is what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.cli import main
from rq_ses.settings.declared import Setting, describe
from rq_ses.settings.producer import ProducerSettings
from rq_ses.settings.sendmail import SendmailSettings
from rq_ses_worker.settings.feedback import FeedbackCommandSettings
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.settings.worker import WorkerSettings
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.pages import documents
from support.programs.processes import PATIENCE, environment

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return [block.text for block in documents.blocks(README, language)]


def table(first_heading: str) -> list[list[str]]:
    """The cells of the table whose first column has that heading."""
    match = re.search(rf"^\| {first_heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert match, f"the README has no table with the column {first_heading!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in match[1].splitlines()]


def test_runnable_code_stands_by_line_thirty() -> None:
    lines = README.splitlines()
    assert lines.index("```python") < 30
    assert any("Outbox.from_env(" in line for line in lines[:30])


def test_its_purpose_takes_two_sentences() -> None:
    purpose = README.split("\n\n")[1].replace("\n", " ")
    assert len(re.findall(r"[.!?](?:\s|$)", purpose)) == 2


def test_its_python_code_runs_and_enqueues(redis: Redis, redis_url: str) -> None:
    code, *_ = blocks("python")
    first, again = (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=environment(RQ_SES_REDIS_URL=redis_url),
            capture_output=True, text=True, timeout=PATIENCE, check=True,
        )
        for _ in range(2)
    )  # fmt: skip
    job_id, duplicate = first.stdout.split()
    assert duplicate == "False"
    assert again.stdout == f"{job_id} True\n"
    assert fetch(redis, job_id).description == "anna@customer.example → Your order 4711 is on its way"
    assert status(redis, job_id) == "queued"


def test_its_further_python_code_says_what_is_wrong_and_enqueues_the_rest(
    redis: Redis, redis_url: str
) -> None:
    program = "\n".join(blocks("python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(RQ_SES_REDIS_URL=redis_url),
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert "to[0]: 'nobody'" in done.stdout
    assert redis.llen("rq:queue:mail") == 3


def test_its_stock_worker_command_sends(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str]
) -> None:
    [command] = re.findall(r"`(rq worker [^`]+)`", README)
    program, *arguments = shlex.split(command)
    job_id = Outbox(redis_url).send(mail()).job_id
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments, "--burst", "--url", redis_url],
        env=worker_env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert status(redis, job_id) == "finished"
    assert len(ses.mails) == 1


def test_its_make_targets_and_extras_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"make ([a-z]+)", README)
    assert {"demo", "test"} <= set(named) <= set(targets)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for names in re.findall(r"rq-ses\[([a-z,]+)\]", README):
        assert set(names.split(",")) <= extras.keys()


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith("https://"):
            path = target.partition("#")[0]
            assert (ROOT / path).exists(), target


# Settings


def settings() -> dict[str, Setting]:
    """Every setting by its variable."""
    return {
        variable: setting
        for kind in (
            ProducerSettings,
            WorkerSettings,
            SendmailSettings,
            SmtpSettings,
            FeedbackCommandSettings,
        )
        for setting in describe(kind)
        for variable in setting.variables
    }


def listed() -> dict[str, str]:
    """The README's default of each variable; a row with several has their defaults in the same order."""
    found: dict[str, str] = {}
    for names, default, meaning in table("variable"):
        variables = re.findall(r"`([A-Z0-9_]+)`", names)
        assert variables, names
        assert meaning
        aliases = "(or " in names
        defaults = [default] * len(variables) if aliases or not default else re.split(r", ", default)
        assert len(defaults) == len(variables), f"{names}: {default}"
        for variable, one in zip(variables, defaults, strict=True):
            assert variable not in found, f"{variable} stands twice"
            found[variable] = one
    return found


def written(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:.10g}"
    return f"`{default}`"


def test_it_lists_exactly_the_settings_there_are() -> None:
    assert sorted(listed()) == sorted(settings())


@pytest.mark.parametrize("variable", sorted(settings()))
def test_it_gives_the_right_default(variable: str) -> None:
    shown, default = listed().get(variable), settings()[variable].default
    assert shown is not None, f"{variable} is missing in the README's table of settings"
    # What has no default may be described in words.
    assert shown == written(default) or (default is None and not re.search(r"[`\d]", shown))


def test_the_tables_of_settings_are_as_the_settings_are_declared() -> None:
    script = ROOT / "scripts" / "settings_tables.py"
    done = subprocess.run(
        [sys.executable, script, "--check"],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_it_leads_to_the_page_that_has_options_ranges_and_readers_of_each() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for setting in describe(WorkerSettings):
        [row] = re.findall(rf"^\| `{setting.variables[0]}`.*", page, re.MULTILINE)
        assert all(words in row for words in (setting.range, setting.option, *setting.choices))
    assert re.search(r"^\| `RQ_SES_LEASE` \|.* from 1 to 86400 \| `worker`, `doctor` \|", page, re.MULTILINE)
    assert re.search(r"^\| `RQ_SES_QUEUE` \|.* \| all \|", page, re.MULTILINE)
    assert re.search(
        r"^\| `RQ_SES_ACCOUNT` \|.* \| `status`, `breaker`, `worker`, `doctor` \|", page, re.MULTILINE
    )


# Commands


def commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_it_lists_exactly_the_commands_there_are() -> None:
    assert sorted(row[0] for row in table("command")) == sorted(f"`rq-ses {name}`" for name in commands())


def test_the_options_it_names_exist() -> None:
    for command, description in table("command"):
        name = re.fullmatch(r"`rq-ses ([a-z-]+)[^`]*`", command)
        assert name, command
        options = {option for parameter in commands()[name[1]].params for option in parameter.opts}
        assert set(re.findall(r"`(--[a-z-]+)", command + description)) <= options
    for block in blocks("console"):
        for name, rest in re.findall(r"^\$ rq-ses ([a-z-]+)(.*)$", block, re.MULTILINE):
            options = {option for parameter in commands()[name].params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", rest)) <= options
