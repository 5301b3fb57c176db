"""The command `rq-ses simulator` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import send
from support.waiting import PATIENCE

COMMAND = (
    "import sys; from rq_ses_worker.simulator.cli import simulator; simulator(sys.argv[1:], prog_name='x')"
)


def _environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RQ_SES_"))}
    return plain | more


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_url_serves_logs_and_stops(
    http: requests.Session, tmp_path: Path, number: signal.Signals
) -> None:
    environment = _environment(
        AWS_ACCESS_KEY_ID="AKIDENV",
        AWS_SECRET_ACCESS_KEY="env-secret",
        AWS_SESSION_TOKEN="env-token",
        AWS_REGION="eu-west-1",
        RQ_SES_SIMULATOR_LOG="1",
        RQ_SES_SIMULATOR_VERIFIED="example.com example.net",
    )
    errors = tmp_path / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "--port", "0", "--error-shape", "header"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.removeprefix("simulator listening on ").rstrip("\n")
        signing = {"key": "AKIDENV", "secret": "env-secret", "token": "env-token", "region": "eu-west-1"}
        assert send(http, url, "anna@example.org", **signing).status_code == 200
        assert send(http, url, "429.a@faults.example", **signing).status_code == 429
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""
    accepted, limited = errors.read_text().splitlines()
    assert "POST /v2/email/outbound-emails 200 0100" in accepted
    assert limited.endswith("429 TooManyRequestsException attempt 1 to 429.a@faults.example")
    assert "env-secret" not in errors.read_text()
    assert "env-token" not in errors.read_text()


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--access-key-id", "AKIDOPT", "--secret-access-key", "opt-secret"], {}),
        (
            [],
            {"RQ_SES_SIMULATOR_ACCESS_KEY_ID": "AKIDOPT", "RQ_SES_SIMULATOR_SECRET_ACCESS_KEY": "opt-secret"},
        ),
        (["--access-key-id", "AKIDOPT"], {"RQ_SES_SIMULATOR_SECRET_ACCESS_KEY": "opt-secret"}),
    ],
)
def test_a_token_left_over_in_the_shell_is_not_joined_to_another_key(
    http: requests.Session, options: list[str], variables: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--port", "0", *options],
        env=_environment(AWS_SESSION_TOKEN="left-over", **variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("simulator listening on ").rstrip("\n")
        assert send(http, url, "anna@example.org", key="AKIDOPT", secret="opt-secret").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_the_command_says_when_the_port_is_taken(ses: SimulatorServer) -> None:
    port = str(urlsplit(ses.url).port)
    ended = _run("--port", port)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert f"Can't listen on 127.0.0.1 port {port}: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--access-key-id", "AKID"], {}),
        ([], {"AWS_SECRET_ACCESS_KEY": "half-a-pair"}),
        (["--rate", "-1"], {}),
        (["--rate", "nan"], {}),
        (["--skew", "1e12"], {}),
        (["--keep", "0"], {}),
        (["--error-shape", "both"], {}),
        ([], {"RQ_SES_SIMULATOR_QUOTA": "many"}),
    ],
)
def test_wrong_options_are_refused_before_anything_listens(
    arguments: list[str], environment: dict[str, str]
) -> None:
    ended = _run(*arguments, **environment)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Error: " in ended.stderr
    assert "half-a-pair" not in ended.stderr


def test_the_help_has_an_example_for_every_option() -> None:
    from rq_ses_worker.simulator.cli import simulator

    for parameter in simulator.params:
        text = getattr(parameter, "help", None) or ""
        assert "e.g. " in text, parameter.name
        assert parameter.envvar, parameter.name
    assert _run("--help").returncode == 0
