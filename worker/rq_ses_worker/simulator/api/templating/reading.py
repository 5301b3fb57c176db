"""A template in a request: its texts and its data, checked as SES checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from rq_ses.campaign.handlebars import UnknownConstruct
from rq_ses.campaign.syntax import parse
from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.api.checks import bad, constraint, json_of, members_of, missing
from rq_ses_worker.simulator.api.members import check_attachments, check_headers
from rq_ses_worker.simulator.api.templating.store import Templates
from rq_ses_worker.simulator.templated import TemplateContent, Templated

MAX_DATA: Final = 262_144
"""Characters of a TemplateData (API model, EmailTemplateData)."""

MAX_STORED: Final = 500 * 1024
MAX_INLINE: Final = 1024 * 1024
"""Bytes of a template's texts.

https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html
"""

_ARN: Final = re.compile(r"arn:[a-z0-9-]+:ses:[a-z0-9-]+:[0-9]{12}:template/(\S+)")
_PLACES: Final = ("TemplateName", "TemplateArn", "TemplateContent")
_UNSUPPORTED: Final = "Template contains unsupported operations."
"""SES's words for a template that comes along and holds more than values (aws/aws-sdk-js-v3, issue 6657)."""


def read_template(template: Mapping[str, Any], where: str, templates: Templates) -> Templated:
    """Return the template that a request sends, with its data. Raises Refused."""
    given = [name for name in _PLACES if template.get(name) is not None]
    if len(given) != 1:
        raise bad("Template must hold exactly one of TemplateName, TemplateArn and TemplateContent.")
    check_headers(template.get("Headers"), f"{where}.headers")
    check_attachments(template.get("Attachments"), f"{where}.attachments")
    data = read_data(template.get("TemplateData"), f"{where}.templateData")
    if given == ["TemplateContent"]:
        content = read_content(template["TemplateContent"], f"{where}.templateContent", MAX_INLINE)
        try:
            _parse(content, simple=True)
        except UnknownConstruct as exc:
            raise bad(_UNSUPPORTED) from exc
        return Templated(content, data)
    name = template[given[0]]
    if given == ["TemplateArn"]:
        match = _ARN.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            raise constraint(f"{where}.templateArn", f"satisfy regular expression pattern: {_ARN.pattern}")
        name = match[1]
    if not isinstance(name, str):
        raise constraint(f"{where}.templateName", "be a string")
    stored = templates.get(name)
    return Templated(stored.content, data, stored.name)


def read_content(value: Any, where: str, most: int) -> TemplateContent:
    """Return the texts of a template, `most` bytes together. Raises Refused."""
    content = members_of(value, where)
    texts = [content.get(name) for name in ("Subject", "Text", "Html")]
    for name, text in zip(("subject", "text", "html"), texts, strict=True):
        if text is not None and not isinstance(text, str):
            raise constraint(f"{where}.{name}", "be a string")
    if not texts[1] and not texts[2]:
        raise missing(f"{where}.text")
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text)
    if size > most:
        raise bad(f"Template length is more than {most} bytes long: '{size}'.")
    return TemplateContent(texts[0] or "", texts[1], texts[2])


def read_stored(value: Any, where: str) -> TemplateContent:
    """Return the texts of a template that is to be kept. Raises Refused."""
    content = read_content(value, where, MAX_STORED)
    try:
        _parse(content, simple=False)
    except UnknownConstruct as exc:
        raise bad(f"Template is not valid: {exc}") from exc
    return content


def read_data(value: Any, where: str) -> dict[str, Any]:
    """Return the object in a TemplateData; none is an empty one. Raises Refused."""
    if value is None:
        return {}
    if not isinstance(value, str):
        raise constraint(where, "be a string")
    if len(value) > MAX_DATA:
        raise constraint(where, f"have length less than or equal to {MAX_DATA}")
    try:
        data = json_of(value)
    except Refused as exc:
        raise bad("Template rendering data is invalid") from exc
    if not isinstance(data, dict):
        raise bad("Template rendering data is invalid")
    return data


def _parse(content: TemplateContent, *, simple: bool) -> None:
    for part in content.parts:
        parse(part, simple=simple)
