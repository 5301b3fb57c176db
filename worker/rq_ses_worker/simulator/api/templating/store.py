"""The templates that the simulated account keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from rq_ses_worker.simulator.api.answers import Refused, error
from rq_ses_worker.simulator.templated import TemplateContent

LIMIT: Final = 20_000
"""Templates of one account in a region.

https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html
"""

_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """One of them; `created_at` is epoch seconds."""

    name: str
    content: TemplateContent
    created_at: float


class Templates:
    """All of them by name; safe to use from another thread. What is refused raises Refused."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._lock = threading.Lock()
        self._limit = limit
        self._stored: dict[str, StoredTemplate] = {}
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often one was stored, changed or taken away."""
        return self._changes

    def create(self, template: StoredTemplate) -> None:
        with self._lock:
            if template.name in self._stored:
                raise Refused(
                    error(400, "AlreadyExistsException", f"Template {_shown(template.name)} already exists")
                )
            if len(self._stored) >= self._limit:
                raise Refused(
                    error(400, "LimitExceededException", f"The account has {self._limit} templates already")
                )
            self._stored[template.name] = template
            self._changes += 1

    def put(self, template: StoredTemplate) -> None:
        """Keep it, in place of one with its name."""
        with self._lock:
            self._stored[template.name] = template
            self._changes += 1

    def get(self, name: str) -> StoredTemplate:
        found = self._stored.get(name)
        if found is None:
            raise Refused(error(404, "NotFoundException", f"Template {_shown(name)} does not exist"))
        return found

    def update(self, name: str, content: TemplateContent) -> None:
        self._change(name, lambda old: replace(old, content=content))

    def delete(self, name: str) -> None:
        self._change(name, lambda _: None)

    def all(self) -> list[StoredTemplate]:
        """Return them, oldest first."""
        with self._lock:
            return list(self._stored.values())

    def clear(self) -> None:
        with self._lock:
            self._stored.clear()
            self._changes += 1

    def _change(self, name: str, change: Callable[[StoredTemplate], StoredTemplate | None]) -> None:
        with self._lock:
            changed = change(self.get(name))
            if changed is None:
                del self._stored[name]
            else:
                self._stored[name] = changed
            self._changes += 1


def _shown(name: str) -> str:
    return name[:_SHOWN]
