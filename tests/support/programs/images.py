"""The Dockerfile's images as environments of this machine, filled by the Dockerfile's own commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
PLACE: Final = "/opt/rq-ses"
"""Where an image has its environment."""


def dockerfile() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


@dataclass(frozen=True, slots=True)
class Image:
    """Where an image's programs are, and the variables it sets."""

    programs: Path
    env: dict[str, str]


def stage(name: str) -> list[tuple[str, str]]:
    """Return the instructions of a stage, those of the stages it builds upon first."""
    own: list[tuple[str, str]] = []
    inside = False
    for word, rest in dockerfile():
        if word == "FROM":
            base, _, called = rest.partition(" AS ")
            inside = called == name
            own += stage(base) if inside else []
        elif inside:
            own.append((word, rest))
    return own


def image(target: str, directory: Path) -> Image:
    """Build a target's environment in a new directory, of nothing but what the Dockerfile puts there."""
    instructions = stage(target)
    [source] = [
        found[1] for word, rest in instructions if word == "COPY" and (found := _FROM_STAGE.match(rest))
    ]
    build = stage(source)
    context, place = directory / "src", directory / "opt"
    context.mkdir(parents=True)
    for word, rest in build:
        if word == "COPY":
            _copy(rest, context)
        elif word == "RUN":
            _run(rest.replace(PLACE, str(place)), context)
    env = dict(
        one.split("=", 1)
        for word, rest in instructions
        if word == "ENV"
        for one in shlex.split(rest)
        if not one.startswith("PATH=")
    )
    return Image(place / "bin", env)


def fresh(requirement: str, directory: Path) -> Path:
    """Install a requirement, as `rq-ses[worker]`, into a new environment; return where its programs are."""
    local = requirement.replace("rq-ses", str(ROOT), 1)
    _run(f"python -m venv {directory} && {directory}/bin/pip install {shlex.quote(local)}", ROOT)
    return directory / "bin"


_FROM_STAGE: Final = re.compile(rf"--from=([\w-]+) {PLACE} {PLACE}$")


def _copy(rest: str, context: Path) -> None:
    *sources, _ = rest.split()
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, context / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, context)


def _run(command: str, directory: Path) -> None:
    """Run a command with this Python as its `python`; pip's cache is used, which an image hasn't."""
    line = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", command)
    for env in (dict(os.environ), {k: v for k, v in os.environ.items() if k != "PIP_PROXY"}):
        done = subprocess.run(
            ["bash", "-c", line], cwd=directory, env={**env, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
    raise AssertionError(f"$ {command}\n{done.stdout}\n{done.stderr}")
