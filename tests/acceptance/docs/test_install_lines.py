"""What the docs and the commands' own words say to install: it exists, and does what is said of it."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from redis import Redis

from support.pages.documents import DOCS
from support.programs.images import ROOT, dockerfile, fresh
from support.programs.processes import PATIENCE, environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PLACES = [
    ROOT / "README.md",
    *DOCS.rglob("*.md"),
    *ROOT.glob("producer/**/*.py"),
    *ROOT.glob("worker/**/*.py"),
]
WARNED_OF = {"rq-exporter"}
"""What the docs tell not to install beside rq-ses."""

NAME = r"(?:'[^']+'|[a-z][\w.\[\],=<>-]+)"
LINE = re.compile(rf"pip install ({NAME}(?: {NAME}(?=[ \n`'\")]))*)")


def install_lines() -> dict[str, set[str]]:
    """Return what is named to be installed, by the text of the line."""
    found = {}
    for path in PLACES:
        for line in LINE.findall(path.read_text()):
            if "{" not in line and "\\" not in line:
                found[line.strip()] = set(shlex.split(line))
    return found


def _plain(requirement: str) -> str:
    return re.split(r"[\[=<>]", requirement)[0]


def test_what_is_named_exists_and_is_what_the_tests_run() -> None:
    lines = install_lines()
    assert len(lines) > 4
    groups = (PROJECT["dependencies"], *EXTRAS.values())
    tested = {_plain(item.split()[0]) for group in groups for item in group}
    for line, requirements in lines.items():
        for requirement in requirements:
            ours = re.fullmatch(r"rq-ses(?:\[([\w,]+)\])?", requirement)
            if ours:
                assert set((ours[1] or "all").split(",")) <= EXTRAS.keys(), line
            else:
                assert _plain(requirement) in tested | WARNED_OF, line


def test_who_is_told_to_install_rq_dashboard_is_told_of_six() -> None:
    lines = [rest for word, rest in dockerfile() if word == "RUN"] + list(install_lines())
    dashboards = [line for line in lines if "rq-dashboard" in line]
    assert len(dashboards) >= 2
    assert all("six" in line for line in dashboards)


@pytest.mark.timeout(240)
def test_the_producer_alone_enqueues_and_shows(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    programs = fresh("rq-ses", tmp_path / "producer")
    env = environment(RQ_SES_REDIS_URL=redis_url)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(programs / arguments[0]), *arguments[1:]],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    done = run(
        "rq-ses",
        "send",
        "--from",
        "a@shop.example",
        "--to",
        "b@shop.example",
        "--subject",
        "s",
        "--text",
        "t",
    )
    assert done.returncode == 0, done.stderr
    assert redis.llen("rq:queue:mail") == 1
    for command in (["status", "--sample", "0"], ["failed"], ["--help"]):
        done = run("rq-ses", *command)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    done = run("rq-ses", "worker")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "pip install 'rq-ses[worker]'" in done.stderr
    assert run("python", "-c", "import requests").returncode == 1
