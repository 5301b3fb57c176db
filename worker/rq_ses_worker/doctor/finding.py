"""What a check found: how grave it is, in words, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from rq_ses.settings.setting import variables
from rq_ses.text.plaintext import one_line
from rq_ses_worker.settings.worker import WorkerSettings

Severity = Literal["ok", "info", "warning", "error"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From harmless to grave."""

_ID: Final = re.compile(r"[a-z]+(?:\.[a-z0-9-]+)+")
_TEXT_LIMIT: Final = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; `id` is stable, for scripts.

    `text` and `remedy` may hold what a server or a stranger wrote: they are made inert here.
    Raises ValueError if one that isn't "ok" has no remedy.
    """

    id: str
    severity: Severity
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no id of a finding: use one like redis.version")
        if self.severity != "ok" and not self.remedy:
            raise ValueError(f"{self.id}: a finding that isn't ok needs a remedy")
        for name in ("text", "remedy"):
            object.__setattr__(self, name, one_line(getattr(self, name), _TEXT_LIMIT))


def ok(id_: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(id_, "ok", text)


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the gravest severity there is, "ok" without any."""
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default="ok")


def variable(setting: str) -> str:
    """Return the environment variable of a setting, as texts and remedies name it."""
    return variables(setting, WorkerSettings.model_fields[setting])[0]
