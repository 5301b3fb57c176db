"""RQ_SES_ variables of the environment that are no settings: refused, never ignored, for misspelt they would
do nothing.

Every command looks here first, so what is known by name costs nothing: neither the classes that declare
settings nor what checks values is imported, unless there is a name that isn't in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rq_ses.errors import SettingsError
from rq_ses.settings.known import KNOWN
from rq_ses.text.plaintext import one_line

PREFIX: Final = "RQ_SES_"

_SERVICE: Final = "_SERVICE_HOST"


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise SettingsError with a line for each RQ_SES_ variable that is no setting; empty ones are unset.

    So is one that isn't in capitals: not all that reads variables would find it.
    In a program that was frozen into one file, without entry points, nothing can be told.
    """
    given = {name for name, value in environment.items() if value and name.upper().startswith(PREFIX)}
    left = {name for name in given - _service_links(given) if name not in KNOWN}
    if not left:
        return
    # Another package may declare settings, too; and here is where the one is found that is meant.
    from rq_ses.settings.declared import all_variables, meant

    known = all_variables()
    left = {name for name in left if name not in known}
    if left and known:
        raise SettingsError([unknown(name, meant(name, known)) for name in sorted(left)])


def unknown(name: str, instead: str) -> str:
    """Return the words for a name that is no setting's."""
    remedy = (
        f"did you mean {instead}?" if instead else "remove it (docs/settings.md lists all that there are)"
    )
    return f"{one_line(name, 100)} is not a setting: {remedy}"


def _service_links(given: Iterable[str]) -> set[str]:
    """Return the variables by which Kubernetes tells each container of a Service that is named rq-ses-…"""
    names = set(given)
    services = tuple(name.removesuffix(_SERVICE) for name in names if name.endswith(_SERVICE))
    beginnings = tuple(f"{service}_{kind}" for service in services for kind in ("SERVICE_", "PORT"))
    return {name for name in names if beginnings and name.startswith(beginnings)}
