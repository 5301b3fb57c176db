"""What `rq-ses campaign preview` shows: one entry's mail, filled in as SES, or the worker, does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.entry import Entry
from rq_ses.campaign.handlebars import render
from rq_ses.campaign.preparing import Preparation, headers_together


class Preview(NamedTuple):
    """One entry's mail."""

    sender: str
    to: str
    headers: Mapping[str, str]
    subject: str
    text: str | None
    html: str | None


def preview_of(campaign: Campaign, entry: Entry) -> Preview:
    """Return one entry's mail.

    Raises ValueError: its template is stored in SES, or can't be filled in with its data.
    """
    template = campaign.template
    if template.stored:
        raise ValueError(f"the template {template.name} is stored in SES, which alone can fill it in")
    preparation = Preparation(campaign)
    headers = headers_together(campaign.headers, preparation.headers_of(entry))
    if template.engine == "jinja2":
        # Here, for Jinja2 isn't installed everywhere.
        from rq_ses.campaign.jinja import LocalTemplate

        local = LocalTemplate(template.subject or "", template.text, template.html, escape=template.escapes)
        rendered = local.render(entry.data)
        return Preview(campaign.sender, entry.to, headers, rendered.subject, rendered.text, rendered.html)
    prepared = preparation.of([entry])
    data = json.loads(prepared.data[0])
    parts = [
        None if part is None else render(part, data, simple=True)
        for part in (prepared.subject, prepared.text, prepared.html)
    ]
    return Preview(campaign.sender, entry.to, headers, parts[0] or "", parts[1], parts[2])
