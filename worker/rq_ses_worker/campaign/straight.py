"""The requests of mails that are rendered here, written straight: most of each is the same for all.

A mail that says nothing unusual is its campaign's request with five texts in it: address, subject, text,
HTML and id. So the request is made once, of a mail of marks, by the model and the renderer that make any
mail; then it is taken apart at the marks. The long texts of a template are written as JSON once, too. What
isn't surely the same as the model would have it, or is to be refused, is left to the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple
from uuid import uuid4

from pydantic_core import to_json

from rq_ses.campaign.bulkjob import QueuedEntry
from rq_ses.campaign.jinja import Rendered, RenderingFailure
from rq_ses.campaign.localmail import LocalMails
from rq_ses.message import address, headertext
from rq_ses.message.frozen import EMPTY
from rq_ses.message.limits import MESSAGE_SIZE
from rq_ses.message.render import send_email_body

_ROOM: Final = MESSAGE_SIZE.most // 16
"""Characters, six bytes of JSON each at most, that surely go into a mail whose terms take less than half."""

_LONG: Final = 64
"""Characters from which on a text of the template is worth being kept as JSON."""

_NOT_ASCII: Final = b'","Charset":"UTF-8'
"""What follows a text's data, up to its last quote, where it isn't ASCII (rq_ses.message.render)."""


class _Gap(NamedTuple):
    """A text that differs between mails: its name, and what follows it."""

    name: str
    after: bytes


class StraightRequests:
    """Writes the requests of one campaign's entries, as far as they are usual; threads may share it.

    Args:
        mails: of the campaign.
    """

    def __init__(self, mails: LocalMails) -> None:
        self._template = mails.template
        self._head, self._gaps = (b"", ()) if mails.links_differ else _frame(mails)
        self._known = dict(_kept(mails.template.constants))

    def body(self, entry: QueuedEntry) -> bytes | None:
        """Return the request of SendEmail, None if it isn't a usual one. Raises RenderingFailure."""
        if not self._head or entry.headers or entry.tags or not address.is_plain(entry.to):
            return None
        pieces = self._template.pieces(entry.data)
        try:
            headertext.line("".join(pieces["subject"]))
            written = [self._head]
            for name, after in self._gaps:
                if name == "to":
                    written.append(entry.to.encode())
                elif name == "id":
                    written.append(entry.id.encode())
                else:
                    text = self._text(pieces[name])
                    if (not text and name != "subject") or len(text) > _ROOM:
                        return None
                    written.append(text)
                    if not text.isascii():
                        written.append(_NOT_ASCII)
                written.append(after)
        except ValueError:  # which is told in the words of the model
            return None
        return b"".join(written)

    def _text(self, pieces: list[str]) -> bytes:
        """Return a rendered text as JSON, without its quotes. Raises ValueError if it is none."""
        written: list[bytes] = []
        run: list[str] = []
        for piece in pieces:
            known = self._known.get(piece)
            if known is None:
                run.append(piece)
                continue
            if run:
                written.append(_json("".join(run)))
                run.clear()
            written.append(known)
        if run:
            written.append(_json("".join(run)))
        return b"".join(written)


def _json(text: str) -> bytes:
    """Return a text as JSON, without its quotes. Raises ValueError if no mail may hold it."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return to_json(text)[1:-1]


def _kept(texts: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for text in texts:
        if len(text) >= _LONG:
            with suppress(ValueError):
                yield text, _json(text)


def _frame(mails: LocalMails) -> tuple[bytes, tuple[_Gap, ...]]:
    """Return what a campaign's requests begin with, and their gaps; nothing if there is no such mail."""
    mark = uuid4().hex
    parts = {part: f"{mark}-{part}" for part in mails.template.parts}
    entry = QueuedEntry(f"{mark}-to@example.com", EMPTY, EMPTY, EMPTY, f"{mark}-id")
    rendered = Rendered(parts["subject"], parts.get("text"), parts.get("html"))
    try:
        request = send_email_body(mails.mail_of(entry, rendered), entry.id)
    except RenderingFailure:
        return b"", ()
    head, *rest = re.split(rf"{mark}-(to@example\.com|subject|text|html|id)".encode(), request)
    gaps = [
        _Gap(name.decode().partition("@")[0], after)
        for name, after in zip(rest[::2], rest[1::2], strict=True)
    ]
    usual = sorted(gap.name for gap in gaps) == sorted([*parts, "to", "id"])
    return (head, tuple(gaps)) if usual and len(request) < MESSAGE_SIZE.most // 2 else (b"", ())
