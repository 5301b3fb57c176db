"""A template with the data of one mail: what it says once it is filled in, or why it can't be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rq_ses.campaign.handlebars import TemplateError, render


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """The texts of a template, or of a mail that was made of it."""

    subject: str = ""
    text: str | None = None
    html: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The texts that are there."""
        return tuple(part for part in (self.subject, self.text, self.html) if part is not None)


@dataclass(frozen=True, slots=True)
class Templated:
    """A template as it was when the mail was accepted, and its data; without a `name` it came along."""

    content: TemplateContent
    data: Mapping[str, Any]
    name: str | None = None

    def rendered(self) -> TemplateContent:
        """Return the texts filled in. Raises TemplateError."""
        simple = self.name is None
        return TemplateContent(
            *(
                None if part is None else render(part, self.data, simple=simple)
                for part in (self.content.subject, self.content.text, self.content.html)
            )  # type: ignore[arg-type]
        )

    def failure(self) -> str | None:
        """Return why it can't be filled in, in SES's words; None when it can."""
        try:
            self.rendered()
        except TemplateError as exc:
            return str(exc)
        return None
