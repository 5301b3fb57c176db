"""The Dockerfile's images as environments of this machine, filled by the Dockerfile's own commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection
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


def images(targets: Collection[str], directory: Path) -> dict[str, Image]:
    """Build some targets' environments in a new directory, of nothing but what the Dockerfile puts there.

    What a stage begins with is taken over from another that consists of it, as Docker takes layers over.
    """
    builds = {target: tuple(stage(_source(target))) for target in targets}
    built: dict[_Instructions, Path] = {}
    for target, instructions in sorted(builds.items(), key=lambda item: len(item[1])):
        place = directory / target
        below = max((one for one in built if instructions[: len(one)] == one), key=len, default=())
        if below:
            _take_over(built[below], place)
        else:
            (place / "src").mkdir(parents=True)
        for word, rest in instructions[len(below) :]:
            if word == "COPY":
                _copy(rest, place / "src")
            elif word == "RUN":
                _run(rest.replace(PLACE, str(place / "opt")), place / "src")
        built[instructions] = place
    return {target: Image(directory / target / "opt" / "bin", _variables(target)) for target in targets}


def _source(target: str) -> str:
    """Return the stage from which a target has its environment."""
    [source] = [
        found[1] for word, rest in stage(target) if word == "COPY" and (found := _FROM_STAGE.match(rest))
    ]
    return source


def _variables(target: str) -> dict[str, str]:
    given = [one for word, rest in stage(target) if word == "ENV" for one in shlex.split(rest)]
    return dict(one.split("=", 1) for one in given if not one.startswith("PATH="))


def _take_over(below: Path, place: Path) -> None:
    """Copy what was built; an environment names itself in its programs and its settings."""
    shutil.copytree(below, place, symlinks=True)
    opt = place / "opt"
    for file in [opt / "pyvenv.cfg", *(opt / "bin").iterdir()]:
        if not file.is_symlink():
            file.write_bytes(file.read_bytes().replace(bytes(below / "opt"), bytes(opt)))


def fresh(requirement: str, directory: Path) -> Path:
    """Install a requirement, as `rq-ses[worker]`, into a new environment; return where its programs are."""
    local = requirement.replace("rq-ses", str(ROOT), 1)
    _run(f"python -m venv --without-pip {directory}", ROOT)
    _run(f"python -m pip --python {directory}/bin/python install {shlex.quote(local)}", ROOT)
    return directory / "bin"


_Instructions = tuple[tuple[str, str], ...]

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
