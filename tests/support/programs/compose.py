"""compose.yaml's services as processes of this machine: their commands, environment and health checks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from support.programs.images import ROOT, Image, dockerfile
from support.programs.processes import environment
from support.servers.ports import free_port

FILE: Final = ROOT / "compose.yaml"
SES_FILE: Final = ROOT / "compose" / "ses.yaml"
TRACING_FILE: Final = ROOT / "compose" / "tracing.yaml"
BIN: Final = Path(sys.executable).parent
ENTRYPOINT: Final[list[str]] = next(json.loads(rest) for word, rest in dockerfile() if word == "ENTRYPOINT")

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


def load(variables: Mapping[str, str] = {}, file: Path = FILE) -> dict[str, Any]:
    """Return compose.yaml, or another file of the kind, with its variables filled in."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(item) for name, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return interpolated(value, variables) if isinstance(value, str) else value

    filled = fill(yaml.safe_load(file.read_text()))
    assert isinstance(filled, dict)
    return filled


class Stack:
    """The services, each on a free port of loopback in place of the name and port it has in the stack.

    Their programs are those of `images`, by the images' names.
    """

    def __init__(self, services: Mapping[str, Any], images: Mapping[str, Image], directory: Path) -> None:
        self._services = services
        self._images = images
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # Where the services listen inside the stack.
        self.ports = {
            name: free_port()
            for name in (
                "valkey:6379",
                "simulator:4579",
                "worker:9108",
                "smtp:2525",
                "smtp:9109",
                "dashboard:9181",
                "web:8000",
            )
        }

    def url(self, place: str) -> str:
        return f"http://127.0.0.1:{self.ports[place]}"

    def command(self, name: str) -> list[str]:
        """Return a service's command as the file has it."""
        found: list[str] = self._services[name]["command"]
        return found

    def output(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def up(self, names: Sequence[str], *, healthy: set[str], within: float) -> None:
        """Start services as compose does, each when those it depends on are healthy, until all of them are.

        `healthy` are those that run already.
        """
        end = time.monotonic() + within
        ready, waiting = set(healthy), set(names)
        while not set(names) <= ready:
            for name in [name for name in waiting if self._dependencies(name) <= ready]:
                waiting.remove(name)
                self.start(name)
            ready |= {name for name in self._processes if name not in ready and self.healthy(name)}
            missing = set(names) - ready
            assert time.monotonic() < end, {name: self.output(name) for name in missing - waiting}

    def _dependencies(self, name: str) -> set[str]:
        dependencies: dict[str, Any] = self._services[name].get("depends_on", {})
        assert all(one["condition"] == "service_healthy" for one in dependencies.values())
        return set(dependencies)

    def start(self, name: str) -> None:
        """Start a service with its own command and variables."""
        service = self._services[name]
        command = [*service.get("entrypoint", ENTRYPOINT), *service["command"]]
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                self._placed(name, command),
                env=self._env(name), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def healthy(self, name: str) -> bool:
        """Run a service's health check; a service that has ended fails the test."""
        assert self._processes[name].poll() is None, self.output(name)
        service = self._services[name]
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD"
        done = subprocess.run(
            self._placed(name, command),
            env=self._env(name), cwd=ROOT, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def _placed(self, name: str, command: Sequence[str]) -> list[str]:
        program, *options = command
        programs = self._images[self._services[name]["image"]].programs
        return [str(programs / program), *(self._here(option, name) for option in options)]

    def _env(self, name: str) -> dict[str, str]:
        service = self._services[name]
        own = {key: self._here(str(value), name) for key, value in service.get("environment", {}).items()}
        return environment(**self._images[service["image"]].env, **own)

    def stop(self) -> dict[str, int]:
        """End what runs and return the exit codes."""
        for process in self._processes.values():
            process.terminate()
        return {name: process.wait(30) for name, process in self._processes.items()}

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
