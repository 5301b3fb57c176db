"""Run what concerns Django on each of its versions, each in an environment of its own under build/django.

    .venv/bin/python scripts/django_tests.py        # of 5.2, 6.0 and 6.1 those that `make test` doesn't run
    .venv/bin/python scripts/django_tests.py 6.1

They run side by side, and what each printed follows. Django 6 needs Python 3.12: where none is installed it
is said, and left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PLACE: Final = ROOT / "build" / "django"

PYTHONS: Final = {
    "5.2": ((3, 11), (3, 12), (3, 13)),
    "6.0": ((3, 12), (3, 13)),
    "6.1": ((3, 13), (3, 12)),
}
"""Of each version of Django those of Python that it and we run on; the first that is installed is taken."""

NEEDED: Final = ("fakeredis[lua]", "hypothesis", "psutil", "pytest", "pytest-timeout")
OURS: Final = ("tests/unit/django", "tests/integration/django")
DJANGOS: Final = "support.django_project.djangos_own"


def pythons() -> Iterator[tuple[tuple[int, int], Path]]:
    """Yield the versions of Python that are installed."""
    folders = [Path(name) for name in os.environ.get("PATH", "").split(os.pathsep) if name]
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for minor in (13, 12, 11):
        named = [folder / f"python3.{minor}" for folder in folders]
        for path in [*named, *sorted(pyenv.glob(f"3.{minor}.*/bin/python3"), reverse=True)]:
            if path.is_file() and _works(path, minor):
                yield (3, minor), path
                break


def _works(path: Path, minor: int) -> bool:
    """Whether it is that Python: pyenv's own commands stand for versions that may not be chosen."""
    tell = "import sys, venv, sqlite3; print(sys.version_info.minor)"
    done = subprocess.run([path, "-c", tell], capture_output=True, text=True, check=False)
    return done.stdout.strip() == str(minor)


def environment(series: str, python: Path) -> Path:
    """Return the Python of an environment that has this Django; it is made once."""
    place = PLACE / f"{series}-{python.parent.parent.name}"
    done = place / ".done"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = json.dumps([project["dependencies"], extras["all"], extras["django"], extras["worker"], NEEDED])
    if not done.is_file() or done.read_text() != wanted:
        subprocess.run([python, "-m", "venv", "--clear", place], check=True)
        install = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-e", f"{ROOT}[all,django]", f"django=={series}.*", *NEEDED], check=True)
        done.write_text(wanted)
    return place / "bin" / "python"


def _run(series: str, python: Path) -> tuple[str, list[str]]:
    """Return what the tests printed with this Django, and the names of what failed."""
    runner = environment(series, python)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    printed, failed = "", []
    for name, *arguments in (["pytest", "-q", "-p", "no:cacheprovider", *OURS], [DJANGOS]):
        done = subprocess.run(
            [runner, "-m", name, *arguments],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        printed += done.stdout
        failed += [name] if done.returncode else []
    return printed, failed


def main(chosen: list[str]) -> int:
    """Run all, and return the exit code."""
    installed = dict(pythons())
    tested_anyway = ".".join(version("django").split(".")[:2])
    pool, running = ThreadPoolExecutor(), {}
    for series in chosen or [series for series in PYTHONS if series != tested_anyway]:
        python = next((installed[version] for version in PYTHONS[series] if version in installed), None)
        if python is None:
            print(f"Django {series} is left out: none of the versions of Python that it needs is installed")
        else:
            running[series] = pool.submit(_run, series, python)
    failed = []
    for series, run in running.items():
        printed, names = run.result()
        print(f"Django {series}", printed, sep="\n", flush=True)
        failed += [f"Django {series}: {name}" for name in names]
    print(*(f"failed: {one}" for one in failed), sep="\n", end="\n" if failed else "")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
