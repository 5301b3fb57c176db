"""A build of this repository that can be run: the working tree, or a revision exported from git."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Build:
    """One build, in the same environment as every other."""

    name: str
    variables: Mapping[str, str]
    """What makes a Python process import this build."""


def build(name: str, tree: Path, directory: Path) -> Build:
    """Return the build of a source tree; `directory` gets its metadata.

    The environment's own metadata would name the commands of the build that is installed there.
    """
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    metadata = directory / f"rq_ses-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
            for group, points in groups.items()
        )
    )
    path = os.pathsep.join(map(str, (directory, tree / "producer", tree / "worker")))
    # What is compiled is kept, as it is where a package is installed, whatever this environment says.
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(directory / "bytecode")}
    return Build(name, {"PYTHONPATH": path, **kept})


def export(revision: str, directory: Path) -> Path:
    """Write a revision's files to `directory`, and return that. Raises CalledProcessError if git can't."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    return directory
