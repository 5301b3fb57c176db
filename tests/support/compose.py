"""compose.yaml's services as processes of this machine: their commands, environment and health checks."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "compose.yaml"
BIN: Final = Path(sys.executable).parent

_VARIABLE: Final = re.compile(r"\$\{(?P<name>\w+)(?:(?P<rule>:?[-?])(?P<text>[^}]*))?\}|\$\$")


class VariableMissing(Exception):
    """Raised when a `${NAME:?text}` has no value, as compose itself would refuse to start."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Return a value of compose.yaml with its variables filled in, by compose's rules."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        given, rule = variables.get(found["name"]), found["rule"] or ""
        if given or (given == "" and not rule.startswith(":")):
            return given
        if rule.endswith("?"):
            raise VariableMissing(f"{found['name']}: {found['text']}")
        return found["text"] or ""

    return _VARIABLE.sub(value, text)


def load(variables: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return compose.yaml with its variables filled in."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(item) for name, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return interpolated(value, variables) if isinstance(value, str) else value

    filled = fill(yaml.safe_load(FILE.read_text()))
    assert isinstance(filled, dict)
    return filled


class Stack:
    """The services, each on a free port of loopback in place of the name and port it has in the stack."""

    def __init__(self, services: Mapping[str, Any], directory: Path) -> None:
        self._services = services
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # Where the services listen inside the stack.
        self.ports = {
            name: _free_port() for name in ("valkey:6379", "simulator:4579", "dashboard:9181", "web:8000")
        }

    def url(self, place: str) -> str:
        return f"http://127.0.0.1:{self.ports[place]}"

    def output(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def start(self, name: str, command: list[str]) -> None:
        """Start a service's own command, which `command` begins with the program's place on this machine."""
        service = self._services[name]
        environment = {
            key: self._here(str(value), name) for key, value in service.get("environment", {}).items()
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "RQ_"))}
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [*command, *(self._here(part, name) for part in service["command"])],
                env={**kept, **environment}, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def healthy(self, name: str) -> bool:
        """Run a service's health check; a service that has ended fails the test."""
        assert self._processes[name].poll() is None, self.output(name)
        service = self._services[name]
        kind, *command = (self._here(part, name) for part in service["healthcheck"]["test"])
        assert kind == "CMD"
        environment = {
            key: self._here(str(value), name) for key, value in service.get("environment", {}).items()
        }
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env={**os.environ, **environment}, cwd=ROOT, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def stop(self) -> dict[str, int]:
        """End what runs, the last first, and return the exit codes."""
        codes = {}
        for name, process in reversed(self._processes.items()):
            process.terminate()
            codes[name] = process.wait(30)
        return codes

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _here(self, text: str, service: str) -> str:
        for place, port in self.ports.items():
            name, inside = place.split(":")
            text = text.replace(f"//{place}", f"//127.0.0.1:{port}")
            if service == name:
                text = text.replace(f"127.0.0.1:{inside}", f"127.0.0.1:{port}")
                text = re.sub(
                    rf"^(0\.0\.0\.0:)?{inside}$", lambda found, port=port: f"{found[1] or ''}{port}", text
                )
        return text.replace("0.0.0.0", "127.0.0.1")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
