"""A template: what all mails of a campaign say, with places for what each of them says alone."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, Field, Strict, model_validator

from rq_ses.campaign.placeholders import Placeholders, find
from rq_ses.message import headertext
from rq_ses.message.frozen import Frozen
from rq_ses.message.payload import refused
from rq_ses.message.terms import Body, Line

Engine = Literal["ses", "jinja2"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
"""Who fills the template."""

PARTS: Final = ("subject", "text", "html")
"""What an inline template is made of."""

_Name = Annotated[str, Strict(), AfterValidator(headertext.template)]


class Template(Frozen):
    """A template that SES has stored, or one that is given here; immutable.

    Placeholders are `{{name}}`. In `html` a value is HTML-escaped, which SES by itself doesn't do;
    `{{{name}}}` stands for one that is HTML already. With `engine="jinja2"` the worker renders, in a sandbox,
    and the template is written in Jinja2's own language. Raises pydantic.ValidationError.

    Attributes:
        name (str | None): the name of one stored in SES; 1 to 64 ASCII letters, digits, `_` and `-`. Or:
        subject (str | None): one line.
        text (str | None): the plain text; at least one of `text` and `html` must be given.
        html (str | None): the same as HTML.
        engine (str): who fills it, "ses" or "jinja2".
        escape (bool | None): whether values are HTML-escaped in `html`; by default they are. With
            `name` it isn't known where a value goes: so none is by default, and true escapes all everywhere.
    """

    name: _Name | None = None
    subject: Line | None = None
    text: Body | None = Field(default=None, repr=False)
    html: Body | None = Field(default=None, repr=False)
    engine: Engine = "ses"
    escape: Annotated[bool, Strict()] | None = None

    @property
    def stored(self) -> bool:
        """Whether it is SES that has it."""
        return self.name is not None

    @property
    def escapes(self) -> bool:
        """Whether values are HTML-escaped: in `html`; of a stored template everywhere."""
        return not self.stored if self.escape is None else self.escape

    @cached_property
    def placeholders(self) -> dict[str, Placeholders]:
        """By part the placeholders of an inline template that SES fills; of any other nothing is known."""
        if self.stored or self.engine != "ses":
            return {}
        return {part: find(getattr(self, part) or "") for part in PARTS}

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        given = [part for part in PARTS if getattr(self, part) is not None]
        problems = self._stored_problems(given) if self.stored else self._inline_problems()
        if problems:
            raise refused("Template", problems)
        return self

    def _stored_problems(self, given: list[str]) -> list[tuple[str, str]]:
        problems = [(part, "a stored template (name) has its own: give either") for part in given]
        if self.engine != "ses":
            problems.append(("engine", "a template stored in SES is rendered there: leave it out"))
        return problems

    def _inline_problems(self) -> list[tuple[str, str]]:
        problems = []
        if not self.subject:
            problems.append(("subject", "is missing: give it, or the name of a template stored in SES"))
        if not (self.text or self.html):
            problems.append(("text", "both text and html are empty: give at least one of them"))
        if self.engine == "ses":
            for part in PARTS:
                try:
                    find(getattr(self, part) or "")
                except ValueError as exc:
                    problems.append((part, str(exc)))
        return problems
