"""The stored templates as JSON, for tests in any language."""

from __future__ import annotations

from typing import Final

from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.request import WebError, WebRequest
from rq_ses_worker.simulator.web.response import WebResponse, json_response

_MEMBERS: Final = ("name", "subject", "text", "html")


def told(service: Service) -> WebResponse:
    """Return all stored templates, oldest first."""
    listed = [
        {
            "name": one.name,
            "subject": one.content.subject,
            "text": one.content.text,
            "html": one.content.html,
            "created_at": one.created_at,
        }
        for one in service.templates.all()
    ]
    return json_response({"templates": listed})


def add(service: Service, request: WebRequest) -> WebResponse:
    """Keep a template, in place of one with its name, and return all. Raises WebError."""
    given = request.json()
    named = isinstance(given, dict) and isinstance(given.get("name"), str) and given["name"]
    if not named or set(given) - set(_MEMBERS):
        raise WebError(400, 'give {"name": "welcome", "subject": "Hi {{name}}", "text": …, "html": …}')
    try:
        service.add_template(**{name: given.get(name) for name in _MEMBERS})
    except Refused as exc:
        raise WebError(400, str(exc)) from exc
    return told(service)


def remove(service: Service, request: WebRequest) -> WebResponse:
    """Forget the template named in the query, or all; return those left. Raises WebError."""
    name = request.query.get("name")
    if name is None:
        service.templates.clear()
        return told(service)
    try:
        service.templates.delete(name)
    except Refused as exc:
        raise WebError(404, str(exc)) from exc
    return told(service)
