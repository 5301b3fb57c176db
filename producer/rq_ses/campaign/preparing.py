"""What a request says for a campaign's entries: template parts and data, escaped where that has to be.

SES puts values into HTML as they are, so what is to be escaped must be so before it is sent. A value that
stands in `html` alone is escaped itself. One that stands in the subject or the text, too, needs both forms:
the html's placeholder is given a name of its own, for those requests alone that have such a value.

    preparation = Preparation(campaign)     # once for a campaign: it may be kept, and shared by threads
    prepared = preparation.of(job.entries)  # for each request
    prepared.subject, .text, .html          # EmailTemplateContent of this request; None: absent
    prepared.data[i]                        # ReplacementTemplateData of entry i, as JSON text
    prepared.headers[i]                     # its ReplacementHeaders, beside the campaign's (Template.Headers)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from pydantic_core import to_json

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.placeholders import replaced
from rq_ses.message.unsubscribing import unsubscribe_headers

_SPECIAL: Final = re.compile(r"[&<>\"']")
_OTHER: Final = "_html"


class Recipient(Protocol):
    """What is known of an Entry and of a QueuedEntry."""

    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class Prepared(NamedTuple):
    """A request's template parts, and the data and headers of each of its entries, in order."""

    subject: str | None
    text: str | None
    html: str | None
    data: list[str]
    headers: list[Mapping[str, str]]


class Preparation:
    """Makes the template parts and data of a campaign's requests; pure, and nothing in it changes.

    For `engine="jinja2"` it has nothing to say but `headers_of`: who renders takes the template as it is,
    with autoescaping as `template.escapes` says.

    Args:
        campaign: whose requests they are.
    """

    def __init__(self, campaign: Campaign) -> None:
        template = campaign.template
        self._link = campaign.unsubscribe
        self._filled = bool(campaign.link_placeholders.names)
        self._all = template.stored and template.escapes
        self._inside: frozenset[str] = frozenset()
        self._both: dict[str, str] = {}
        self._parts: tuple[str | None, str | None, str | None] = (None, None, None)
        self._html_of_both: str | None = None
        if not template.stored and template.engine == "ses":
            self._parts = _sent(template.subject), _sent(template.text), _sent(template.html)
            if template.escapes and template.html:
                self._divide(campaign)

    def _divide(self, campaign: Campaign) -> None:
        """Find which names are escaped in place, and which need a second form."""
        found = campaign.template.placeholders
        elsewhere = found["subject"].names | found["text"].names | found["html"].raw
        taken = elsewhere | found["html"].plain
        self._inside = found["html"].plain - elsewhere
        for name in sorted(found["html"].plain & elsewhere):
            other = name + _OTHER
            while other in taken:
                other += "_"
            taken |= {other}
            self._both[name] = other
        both = self._both
        self._html_of_both = replaced(
            campaign.template.html or "",
            lambda name, raw: _placeholder(name if raw else both.get(name, name)),
        )

    def of(self, entries: Sequence[Recipient]) -> Prepared:
        """Return what a request with these entries says."""
        apart = any(_is_special(entry.data.get(name)) for name in self._both for entry in entries)
        subject, text, html = self._parts
        return Prepared(
            subject,
            text,
            self._html_of_both if apart else html,
            [to_json(self._data(entry.data, apart=apart)).decode() for entry in entries],
            [self.headers_of(entry) for entry in entries],
        )

    def headers_of(self, entry: Recipient) -> Mapping[str, str]:
        """Return an entry's headers, those of its link to unsubscribe among them; not the campaign's."""
        if self._link is None:
            return entry.headers
        link = self._link
        if self._filled:
            link = replaced(link, lambda name, _: quote(str(entry.data.get(name, "")), safe=""))
        return {**entry.headers, **unsubscribe_headers(link)}

    def _data(self, data: Mapping[str, Any], *, apart: bool) -> Mapping[str, Any]:
        if not (self._all or self._inside or apart):
            return data
        if self._all:
            return {name: _escaped(value) for name, value in data.items()}
        changed = {name: escape(data[name]) for name in self._inside if _is_special(data.get(name))}
        if apart:
            changed |= {other: _escaped(data[name]) for name, other in self._both.items() if name in data}
        return {**data, **changed} if changed else data


def headers_together(shared: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    """Return a campaign's headers and an entry's, whose own count; names are alike in either case."""
    if not own:
        return shared
    names = {name.lower() for name in own}
    return {**{name: value for name, value in shared.items() if name.lower() not in names}, **own}


def _sent(text: str | None) -> str | None:
    """Return a part as SES fills it: it knows one kind of placeholder, and no spaces in it."""
    return None if text is None else replaced(text, lambda name, _: _placeholder(name))


def _placeholder(name: str) -> str:
    return f"{{{{{name}}}}}"


def _is_special(value: Any) -> bool:
    return isinstance(value, str) and _SPECIAL.search(value) is not None


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {name: _escaped(one) for name, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list | tuple) else value
