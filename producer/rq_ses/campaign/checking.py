"""Whether an entry's data fill a campaign's template: asked of each before its job is enqueued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.entry import Entry
from rq_ses.campaign.preparing import Preparation
from rq_ses.campaign.template import Template
from rq_ses.message import headertext
from rq_ses.message.limits import HEADERS, MESSAGE_SIZE, TEMPLATE_DATA
from rq_ses.message.unsubscribing import LONGEST, unsubscribe_problems
from rq_ses.text.invalid import shown

UNUSED: Final = 100
"""Names of data without a placeholder that are kept, to be told of."""

_GROWTH: Final = 12
"""Times that a value may grow: six by escaping, and once more as it was."""

_NAME: Final = 300
"""Characters of a name in JSON at most, with what stands around it."""


class Checker:
    """Judges entries by the template and the terms of their campaign.

    What a stored template asks for is known to SES alone: of it only the link to unsubscribe is looked at.

    Args:
        campaign: theirs.

    Raises:
        ValueError: its template is one of Jinja2's and can't be used.
        ModuleNotFoundError: it is one of Jinja2's, which isn't installed.
    """

    def __init__(self, campaign: Campaign) -> None:
        parts = campaign.template.placeholders
        self._tells_unused = not campaign.template.stored
        self._subject = tuple(sorted(parts["subject"].names)) if parts else ()
        self._link = campaign.link_placeholders.names
        self._shown = self._link.union(*(part.names for part in parts.values()))
        """Names whose values are written as they are, so that they must be texts or numbers."""
        self._needed = self._known = self._shown
        if campaign.template.engine == "jinja2":
            required, mentioned = _of_jinja(campaign.template)
            self._needed, self._known = self._needed | required, self._known | mentioned
        self._campaign = campaign
        self._preparation = Preparation(campaign)
        self._headers = {name.lower() for name in campaign.headers}
        self._unused: dict[str, None] = {}
        template = campaign.template
        texts = [template.subject or "", template.text or "", template.html or ""]
        self._room = MESSAGE_SIZE.most - sum(len(text.encode()) for text in texts)
        self._places = sum(text.count("{{") for text in texts)

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of data that no placeholder has asked for so far."""
        return tuple(self._unused)

    def problem(self, entry: Entry) -> str:
        """Return why an entry can't be sent, with the remedy; "" if it can."""
        data = entry.data
        if data.keys() != self._needed and (problem := self._names_problem(data)):
            return problem
        try:
            size = _NAME * len(data) + len("".join(data.values()))
        except TypeError:  # not all are texts
            if problem := self._shown_problem(data):
                return problem
            size = TEMPLATE_DATA.most  # it is counted below
        for name in self._subject:
            if isinstance(value := data[name], str):
                try:
                    headertext.line(value)
                except ValueError:
                    return (
                        f"data: {shown(name)} is in the subject, and holds a line break or control character"
                    )
        if size * _GROWTH > TEMPLATE_DATA.most or entry.headers or self._link:
            return self._size_problem(entry) or self._headers_problem(entry)
        return ""

    def _names_problem(self, data: Mapping[str, Any]) -> str:
        if missing := self._needed - data.keys():
            names = ", ".join(f"{{{{{name}}}}}" for name in sorted(missing))
            return f"data: has nothing for {names}: give a value for each placeholder"
        if self._tells_unused and len(self._unused) < UNUSED:
            self._unused.update(dict.fromkeys(sorted(data.keys() - self._known)))
        return ""

    def _shown_problem(self, data: Mapping[str, Any]) -> str:
        for name, value in data.items():
            if name in self._shown and (isinstance(value, list | Mapping) or value is None):
                return f"data: {shown(name)} is {shown(value)}, which can't be shown: give text or a number"
        return ""

    def _size_problem(self, entry: Entry) -> str:
        [data] = self._preparation.of([entry]).data
        if len(data) > TEMPLATE_DATA.most:
            return f"data: has {len(data)} characters as it is sent, escaped: SES takes {TEMPLATE_DATA.most}"
        longest = max((len(value) for value in entry.data.values() if isinstance(value, str)), default=0)
        if longest * _GROWTH * self._places > self._room:
            return (
                f"data: a value of {longest} characters may make a mail of more than {MESSAGE_SIZE.most} "
                f"bytes, as the template has {self._places} places: shorten it"
            )
        return ""

    def _headers_problem(self, entry: Entry) -> str:
        own = self._preparation.headers_of(entry)
        for name, value in own.items():
            if name.lower() == "list-unsubscribe" and len(value) > LONGEST + 2:
                return f"unsubscribe: the link has {len(value) - 2} characters: {LONGEST} fit into a header"
        if problems := unsubscribe_problems(self._campaign.unsubscribe, entry.headers, listed=False):
            return ": ".join(problems[0])
        whole = len(self._headers.union(name.lower() for name in own))
        if whole > HEADERS.most:
            return f"headers: {whole} with those of the campaign are too many: give {HEADERS.most} at most"
        return ""


def _of_jinja(template: Template) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that a template of Jinja2's needs in any case, and those that it mentions."""
    # Here, for Jinja2 is in few producers.
    try:
        from rq_ses.campaign.jinja import LocalTemplate
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"engine jinja2: {exc.name} is not installed: pip install 'rq-ses[campaigns]'", name=exc.name
        ) from exc
    local = LocalTemplate(template.subject or "", template.text, template.html, escape=template.escapes)
    return local.required, local.placeholders
