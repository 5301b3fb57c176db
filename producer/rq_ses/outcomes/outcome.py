"""One outcome: what became of a mail, as hooks are told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from rq_ses.text.plaintext import one_line

TEXT_LIMIT: Final = 600
"""Characters of an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a mail. What isn't known is empty.

    Attributes:
        id (str): the same whenever this outcome is told again; no other one has it.
        kind (str): "sent" (SES has accepted it) or "failed" (it stands in the failed registry), as a worker
            says; or the kind of one of SES's events, as SES names it: "Bounce", "Complaint", "Delivery", …
        at (str): when, in ISO 8601 and UTC, by the clock of the server, or of SES for its events.
        job_id (str): as in the Receipt.
        queue (str): RQ queue of the mail.
        message_id (str): SES's.
        to (tuple[str, ...]): addresses that it is about.
        attempts (int): attempts so far.
        code (str): SES's name of the error.
        error (str): the line for the failed registry.
        in_doubt (bool): SES may have accepted the mail, although it failed.
        detail (dict): what else an event of SES's says.
    """

    id: str
    kind: str
    at: str = ""
    job_id: str = ""
    queue: str = ""
    message_id: str = ""
    to: tuple[str, ...] = ()
    attempts: int = 0
    code: str = ""
    error: str = ""
    in_doubt: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as hooks are given it in JSON: without what is empty."""
        # Not by dataclasses.asdict, which takes four times as long: workers make one for each mail.
        return {name: value for name in _NAMES if (value := getattr(self, name)) or name in _ALWAYS}

    def to_json(self) -> str:
        """Return it as it stands in the stream."""
        return _ENCODER.encode(self.to_dict())

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Return the outcome that `to_json` wrote; fields that this build doesn't know are left out.

        Raises:
            ValueError: it is no outcome.
        """
        return cls._made(_loaded(text))

    @classmethod
    def _made(cls, found: Any) -> Self:
        if not isinstance(found, dict) or not all(
            isinstance(found.get(name), str) for name in ("id", "kind")
        ):
            raise ValueError("no outcome: it needs an id and a kind")
        known = {one.name: found[one.name] for one in fields(cls) if one.name in found}
        to = known.pop("to", ())
        return cls(to=tuple(map(str, to)) if isinstance(to, list) else (), **known)


def read_outcomes(text: bytes | str) -> tuple[Outcome, ...]:
    """Return what `written` wrote: one outcome or several. Raises ValueError if it is none."""
    found = _loaded(text)
    return tuple(map(Outcome._made, found)) if isinstance(found, list) else (Outcome._made(found),)


def written(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as they stand at one place in the stream."""
    return _ENCODER.encode([outcome.to_dict() for outcome in outcomes])


def _loaded(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


_NAMES: Final = tuple(one.name for one in fields(Outcome))
_ALWAYS: Final = ("id", "kind")
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def shortened(text: str) -> str:
    """Return an error's text in one inert line."""
    return one_line(text, TEXT_LIMIT)
