"""A campaign as a file: TOML or JSON with the template's parts and the terms of all its mails."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any, Final

import click
from pydantic import ValidationError

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.checking import Checker
from rq_ses.campaign.template import Template
from rq_ses.message.payload import FROM_JSON
from rq_ses.text.invalid import explain, shown
from rq_ses.text.textfile import NotText, read_text

_TEMPLATE: Final = frozenset(Template.model_fields)


def read_campaign(path: str, name: str | None = None) -> Campaign:
    """Return the campaign that a file describes.

    Args:
        path: of the file; one that begins with "{" or ends in .json is JSON, any other TOML.
        name: the campaign's, in place of the file's.

    Raises:
        click.UsageError: it can't be read or used; with a line for each problem.
    """
    fields = _fields(path)
    if name is not None:
        fields["campaign"] = name
    template = {key: fields.pop(key) for key in _TEMPLATE & fields.keys()}
    problems = []
    try:
        found: Template | None = Template.model_validate(template)
    except ValidationError as exc:
        problems, found = explain(exc), None
    # `name` is the template's here, so the campaign's has another one.
    terms = {("name" if key == "campaign" else key): value for key, value in fields.items()}
    try:
        campaign = Campaign.model_validate({**terms, "template": found or _ANY}, context=FROM_JSON)
    except ValidationError as exc:
        problems += [
            f"campaign{line.removeprefix('name')}" if line.startswith("name: ") else line
            for line in explain(exc)
        ]
    if problems:
        raise click.UsageError("\n".join(f"--template: {path}: {problem}" for problem in problems))
    try:
        Checker(campaign)
    except (
        ValueError,
        ModuleNotFoundError,
    ) as exc:  # one of Jinja2's, which doesn't compile, or isn't installed
        raise click.UsageError(f"--template: {path}: {exc}") from exc
    return campaign


_ANY: Final = Template(subject="-", text="-")
"""Stands for a template that can't be used, so that what is wrong with the rest is told, too."""


def _fields(path: str) -> dict[str, Any]:
    try:
        text = read_text(path)
        fields: Any = json.loads(text) if _is_json(path, text) else tomllib.loads(text)
    except OSError as exc:
        raise click.UsageError(f"--template: {path!r} can't be read: {exc.strerror}") from exc
    except NotText as exc:
        raise click.UsageError(f"--template: {path!r} can't be read: {exc}") from exc
    except (ValueError, RecursionError) as exc:
        kind = "JSON" if _is_json(path, text) else "TOML"
        raise click.UsageError(f"--template: {path!r} is no {kind}: {exc}") from exc
    if not isinstance(fields, Mapping):
        raise click.UsageError(
            f"--template: {path!r} holds {shown(fields)}: write an object with the fields by name"
        )
    return dict(fields)


def _is_json(path: str, text: str) -> bool:
    return path.endswith(".json") or text.lstrip().startswith("{")
