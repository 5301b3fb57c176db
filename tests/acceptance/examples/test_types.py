"""A program outside this tree passes mypy and pyright at their strictest, and its mistakes don't."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rq_ses
import rq_ses.aio
import rq_ses.django
import rq_ses.fastapi
import rq_ses.flask
from support.outside.installed import ROOT, installed
from support.programs.processes import environment

PROJECT = ROOT / "tests" / "data" / "outside"
RIGHT, WRONG = "right.py", "wrong.py"
PATIENCE = 100
"""Seconds: both read all of FastAPI's, Flask's and pydantic's types."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


def mistakes() -> set[int]:
    """Return the lines of wrong.py that are."""
    lines = enumerate((PROJECT / WRONG).read_text().splitlines(), 1)
    return {number for number, line in lines if line.endswith("# wrong")}


def run(project: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment(), cwd=project, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.stdout


@pytest.mark.timeout(PATIENCE + 20)
def test_mypy_passes_what_is_right_and_finds_each_mistake(python: Path, project: Path) -> None:
    said = run(
        project, "mypy", "--strict", "--config-file=", "--python-executable", str(python), RIGHT, WRONG
    )
    found = re.findall(r"^(\w+\.py):(\d+): error: ", said, re.MULTILINE)
    assert {(name, int(line)) for name, line in found} == {(WRONG, line) for line in mistakes()}, said


@pytest.mark.timeout(PATIENCE + 20)
def test_pyright_passes_what_is_right_and_finds_each_mistake(python: Path, project: Path) -> None:
    # Its wheel brings the program along, where pyright's own would fetch it at its first run.
    config = {"typeCheckingMode": "strict", "include": [RIGHT, WRONG]}
    (project / "pyrightconfig.json").write_text(json.dumps(config))
    said = run(project, "basedpyright", "--outputjson", "--pythonpath", str(python))
    found = {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
        for one in json.loads(said)["generalDiagnostics"]
        if one["severity"] == "error"
    }
    assert {(name, line) for name, line, _ in found} == {(WRONG, line) for line in mistakes()}, found


def test_the_program_uses_every_public_name() -> None:
    text = (PROJECT / RIGHT).read_text()
    modules = (rq_ses, rq_ses.aio, rq_ses.django, rq_ses.flask, rq_ses.fastapi)
    public = {name for module in modules for name in module.__all__}
    assert [name for name in sorted(public) if not re.search(rf"\b{name}\b", text)] == []
