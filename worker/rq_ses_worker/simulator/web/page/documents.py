"""What a mail brings along, handed to a browser so that it can do nothing: its HTML and its files.

The HTML is a stranger's program. `sandbox` gives it an origin of its own and takes scripts, forms, pop-ups
and navigation of the page around it; the rest of the policy lets it load nothing but what it carries itself.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from typing import Final
from urllib.parse import quote

from rq_ses_worker.simulator.records.parsed import ParsedMail
from rq_ses_worker.simulator.web.response import WebResponse

_MAIL: Final = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
_FILE: Final = "sandbox; default-src 'none'; frame-ancestors 'none'"
_IMAGE: Final = re.compile(r"image/(?:png|jpeg|gif|webp|bmp|svg\+xml)", re.IGNORECASE)
_CID: Final = re.compile(r"cid:([!#-&(-;=?-~]{1,200})", re.IGNORECASE)
_NAME_LIMIT: Final = 150
_IMAGES_LIMIT: Final = 64 * 1024 * 1024
"""Characters of images put into one document: a mail may name a large one a million times."""


def html(parsed: ParsedMail) -> WebResponse:
    """Return a mail's HTML as a document of its own, with the images in it that the mail carries."""
    images = {
        one.content_id: f"data:{one.content_type.lower()};base64,{base64.b64encode(one.content).decode()}"
        for one in parsed.attachments
        if one.content_id and _IMAGE.fullmatch(one.content_type)
    }
    text = parsed.html or ""
    room = _IMAGES_LIMIT

    def image(match: re.Match[str]) -> str:
        nonlocal room
        found = images.get(match[1], "")
        if not found or len(found) > room:
            return match[0]
        room -= len(found)
        return found

    if images:
        text = _CID.sub(image, text)
    # Looking names up isn't loading, so the policy doesn't forbid it.
    more = {"X-DNS-Prefetch-Control": "off"}
    return WebResponse(200, text.encode("utf-8", "replace"), "text/html; charset=utf-8", _MAIL, more)


def download(filename: str, content: bytes) -> WebResponse:
    """Return a file to be saved, never to be shown, under a name that is safe to save it under."""
    name = safe_name(filename)
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return WebResponse(200, content, "application/octet-stream", _FILE, {"Content-Disposition": disposition})


def safe_name(filename: str) -> str:
    """Return a file name without directories, controls, overrides of direction, quotes or a leading dot."""
    name = re.split(r"[/\\]", filename)[-1]
    name = "".join("_" if unicodedata.category(c)[0] == "C" or c in "\"<>|:*?%;'" else c for c in name)
    name = name.strip(" .")
    if len(name) > _NAME_LIMIT:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 10 else ""
        name = name[: _NAME_LIMIT - len(ending)] + ending
    return name or "attachment"
