"""Django's own tests of mail backends, against ours, on the version that is installed."""

from __future__ import annotations

import subprocess
import sys

import django

from support.django_project.djangos_own import UNMET
from support.django_project.source import PATIENCE
from support.pages.documents import DOCS, ROOT
from support.programs.processes import environment


def test_django_accepts_the_backend() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.django_project.djangos_own"],
        env=environment(PYTHONPATH=str(ROOT / "tests")), capture_output=True, text=True,
        timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"Django {django.get_version()}: " in done.stdout


def test_the_page_names_what_cant_be_met() -> None:
    page = (DOCS / "how-to" / "django.md").read_text()
    for series, names in UNMET.items():
        assert len(names) <= 3
        assert not names or series in page
        assert [name for name in names if f"`{name}`" not in page] == []
