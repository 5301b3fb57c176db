"""rq-ses as somebody else has it: its wheel, installed in an environment that knows nothing of this tree."""

from __future__ import annotations

import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Final

from support.programs.processes import PATIENCE, environment

ROOT: Final = Path(__file__).parents[3]


def installed(directory: Path) -> Path:
    """Build the wheel and install it into a new environment; return that one's Python.

    What it needs is found where these tests find it.
    """
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT, env=environment(), capture_output=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    venv.create(directory / "env", symlinks=True)
    [packages] = (directory / "env" / "lib").glob("python*/site-packages")
    [wheel] = directory.glob("rq_ses-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # Not as a place of packages of its own: that would bring this tree along, which is installed editable.
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    return directory / "env" / "bin" / "python"
