"""A build of the package, run as processes of its own: the one that is installed, or one out of git."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from rq_ses.cli import main
from support.programs.processes import PATIENCE, Process, worker_environment

ENQUEUE = Path(__file__).with_name("enqueue.py")


@dataclass(frozen=True, slots=True)
class Build:
    """Where the code of a build is; none is the one installed."""

    path: str = ""

    @classmethod
    def of_revision(cls, revision: str, repository: Path, directory: Path) -> Build:
        """Unpack a revision, with entry points of its own: they name the modules that its commands are in."""
        archive = subprocess.run(
            ["git", "archive", revision], cwd=repository, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(directory, filter="data")
        project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
        info = directory / "producer" / f"rq_ses-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: rq-ses\nVersion: {project['version']}\n"
        )
        groups = {"console_scripts": project["scripts"], **project["entry-points"]}
        (info / "entry_points.txt").write_text(
            "".join(
                f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in named.items()) + "\n"
                for group, named in groups.items()
            )
        )
        return cls(f"{directory / 'producer'}:{directory / 'worker'}")

    def environment(self, redis_url: str, ses_url: str) -> dict[str, str]:
        """Return what its processes need to work a queue by a stand-in for SES."""
        path = {"PYTHONPATH": self.path} if self.path else {}
        return worker_environment(redis_url, ses_url, **path)

    def has(self, command: str, env: dict[str, str]) -> bool:
        """Tell whether its command line has a command: an older one may not."""
        return f"\n  {command} " in self.run(["-m", "rq_ses", "--help"], env)

    def run(self, arguments: Sequence[str], env: dict[str, str], *, codes: Sequence[int] = (0,)) -> str:
        """Run Python with arguments to its end, with one of these exit codes; return what it printed.

        The installed build's commands run in this process: starting one takes longer than all they do.
        """
        if not self.path and arguments[:2] == ["-m", "rq_ses"]:
            return _in_process(arguments[2:], env, codes)
        done = subprocess.run(
            [sys.executable, *arguments],
            env=env, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode in codes, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, arguments: Sequence[str], env: dict[str, str], log: Path) -> Process:
        """Start `rq-ses` with arguments."""
        return Process(["-m", "rq_ses", *arguments], env, log)


def _in_process(arguments: Sequence[str], env: dict[str, str], codes: Sequence[int]) -> str:
    done = CliRunner().invoke(main, arguments, env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in codes, f"{arguments}: {done.exit_code}\n{done.output}"
    return done.stdout
