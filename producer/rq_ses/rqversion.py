"""Refuses another RQ than 3 in words: an import that fails at a name says nothing of what to do."""

from __future__ import annotations

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


try:
    check_rq(version("rq"))
except PackageNotFoundError:
    raise ImportError(f"rq-ses needs RQ {_MAJOR}, and there is none: pip install 'rq>=3,<4'") from None
