"""Templates, rendered: every text in them is escaped, and the browser is told to load nothing else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.response import WebResponse

HTML: Final = "text/html; charset=utf-8"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_LONG_WORD: Final = 28
"""Characters of a word that may be broken anywhere: no column is made wide enough for a longer one."""

_HERE: Final = Path(__file__).parent


def page(service: Service, template: str, context: dict[str, Any], status: int = 200) -> WebResponse:
    """Return a template filled with `context` and the simulator's options."""
    text = _environment().get_template(template).render(context | {"options": service.options})
    return WebResponse(
        status, text.encode("utf-8", "replace"), HTML, POLICY, {"Cross-Origin-Opener-Policy": "same-origin"}
    )


def see(place: str) -> WebResponse:
    """Return what leads a browser on from a form."""
    return WebResponse(303, b"", "text/plain; charset=utf-8", more={"Location": place})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["long"] = _long
    environment.filters["breakable"] = _breakable
    return environment


def _long(text: str) -> str:
    """Return the attribute of an element whose text has a word that may be broken."""
    return Markup(' class="long"') if any(len(word) > _LONG_WORD for word in text.split()) else ""


def _breakable(text: str, at: str, *, before: bool = False) -> Markup:
    """Return text whose long words are rather broken after (or before) `at` than elsewhere."""
    joint = Markup("<wbr>") + at if before else at + Markup("<wbr>")
    return Markup(" ").join(
        escape(word) if len(word) <= _LONG_WORD else joint.join(map(escape, word.split(at)))
        for word in text.split(" ")
    )
