"""Changes made to mails on their way back into the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from rq_ses import contract
from rq_ses.deadletter.reading.payload import Payload, Unreadable
from rq_ses.errors import RqSesError
from rq_ses.message.message import explain
from rq_ses.server.encoding import encode_job
from rq_ses.text.invalid import shown

MAPPINGS: Final = ("headers", "tags", "list_management")
WHOLE: Final = (
    *("sender", "reply_to", "configuration_set", "subject", "to", "cc", "bcc"),
    *("tenant", "from_email_arn", "feedback_to", "feedback_arn"),
)
PERSONAL: Final = ("subject", "to", "cc", "bcc")
"""What each mail has of its own: one value for all that match would be a mistake."""

_SHOWN: Final = 20


class EditRefused(RqSesError, ValueError):
    """Raised when an edit can't be made; `problems` has a line for each. Nothing was moved."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Edited:
    """A mail as it shall be: RQ's data and description, and how many recipients it has."""

    data: bytes
    description: str
    recipients: int


class Edits:
    """New values by field of the message; None takes the field's value away.

    `headers`, `tags` and `list_management` take a mapping of names to new values, and leave
    other names alone.

    Args:
        changes: values by field.
        named: whether the mails are named by their job ids: only then may `to`, `cc`, `bcc` and `subject` be
            changed.

    Raises:
        EditRefused: a field that can't be changed.
    """

    def __init__(self, changes: Mapping[str, Any], *, named: bool) -> None:
        problems = []
        for name, value in changes.items():
            if name not in WHOLE + MAPPINGS:
                problems.append(
                    f"{shown(name)}: can't be changed: use one of {', '.join(WHOLE)}, "
                    f"{', '.join(f'{mapping}.NAME' for mapping in MAPPINGS)}"
                )
            elif name in MAPPINGS and not isinstance(value, Mapping):
                problems.append(f"{name}: {shown(value)} is no mapping: give names and values")
            elif name in PERSONAL and not named:
                problems.append(f"{name}: every mail has its own: name the mails to change by their job ids")
        if problems:
            raise EditRefused(problems)
        self._changes = dict(changes)

    def __bool__(self) -> bool:
        return bool(self._changes)

    def apply(self, payload: Payload) -> Edited:
        """Return the mail with the changes. Raises EditRefused if it isn't valid then."""
        try:
            message = Payload(self._changed(payload.fields), payload.options).message()
        except ValidationError as exc:
            raise EditRefused(explain(exc)) from exc
        except Unreadable as exc:
            raise EditRefused([str(exc)]) from exc
        recipients = message.recipients
        return Edited(
            encode_job(message.to_payload(), payload.options),
            contract.description(recipients, message.subject),
            len(recipients),
        )

    def _changed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        changed = dict(fields)
        for name, value in self._changes.items():
            if name in MAPPINGS:
                old = fields.get(name)
                merged = {**old, **value} if isinstance(old, Mapping) else dict(value)
                changed[name] = {key: text for key, text in merged.items() if text is not None}
                if not changed[name]:
                    del changed[name]
            elif value is None:
                changed.pop(name, None)
            else:
                changed[name] = value
        return changed


class Check:
    """Finds out whether edits make mails invalid that were valid: then they are wrong, and not the mails."""

    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._problems: dict[str, str] = {}

    def look(self, job_id: str, payload: Payload | None) -> None:
        """Look at one mail."""
        if payload is None or len(self._problems) >= _SHOWN:
            return
        try:
            self._edits.apply(payload)
        except EditRefused as exc:
            if _valid(payload):
                for problem in exc.problems:
                    self._problems.setdefault(problem, f"{problem} (job {job_id})")

    def end(self) -> None:
        """Raise EditRefused if a problem was found."""
        if self._problems:
            raise EditRefused(list(self._problems.values()))


def _valid(payload: Payload) -> bool:
    try:
        payload.message()
    except (ValidationError, Unreadable):
        return False
    return True
