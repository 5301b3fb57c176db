"""Django's source with its tests, as its project publishes it: fetched once, kept outside the repository."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 300
"""Seconds for fetching it: pip also makes it tell its version."""


def django_source(version: str) -> Path:
    """Return the unpacked source of a version; a run beside this one waits, and finds it."""
    place = _cache()
    found = place / f"django-{version}"
    with _locked(place / ".lock"):
        if not found.is_dir():
            with tempfile.TemporaryDirectory(dir=place) as directory:
                _fetch(version, Path(directory))
                (Path(directory) / found.name).rename(found)
    return found


def _cache() -> Path:
    # A run of the tests has a home of its own, which is empty.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    place = home / ".cache" / "rq-ses" / "django"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        place = Path(tempfile.gettempdir()) / f"rq-ses-django-{os.getuid()}"
        place.mkdir(mode=0o700, exist_ok=True)
        assert place.stat().st_uid == os.getuid(), f"{place} is somebody else's: remove it"
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(version: str, directory: Path) -> None:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--no-binary", "django", "--dest", str(directory), f"django=={version}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"the source of Django {version} can't be fetched: {done.stderr}"
    [archive] = directory.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    # The file's name is written in small letters, the folder's as the project likes.
    [folder] = [path for path in directory.iterdir() if path.is_dir()]
    if folder.name != f"django-{version}":
        shutil.move(folder, directory / f"django-{version}")
