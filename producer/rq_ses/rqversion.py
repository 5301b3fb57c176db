"""Refuses another RQ than 3 in words: an import that fails at a name says nothing of what to do."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_MAJOR: Final = "3"


def check_rq(found: str) -> None:
    """Raise ImportError if that version of RQ can't be used."""
    if found.partition(".")[0] != _MAJOR:
        raise ImportError(
            f"rq-ses needs RQ {_MAJOR}, this is {found}: pip install 'rq>=3,<4'; a package that wants "
            "another one (rq-exporter does) needs an environment of its own"
        )


# A program that was frozen into one file has no metadata; without RQ the next import says so.
with suppress(PackageNotFoundError):
    check_rq(version("rq"))
