"""The bytes of a mail, as they came: what must be known of them, and the little that is changed.

The body and every header stay as they are, but for these, which a mail server takes out (Postfix:
message_drop_headers): Bcc and Resent-Bcc would show the blind recipients, Return-Path is SES's to write. What
is ours, X-Rq-Ses-Priority, is taken out, too. A Received header comes in front.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rq_ses.contract import PRIORITIES, Priority
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.replies import Refused

MOST_RECEIVED: Final = 100
"""Received headers of a mail at most (RFC 5321, 6.3)."""

MOST_HEADER: Final = 1024 * 1024
"""Bytes of a mail's header at most: far more than any has, and read in a moment."""

_MOST_AUTHORS: Final = 4096
"""Bytes of a From or Sender header that is read."""

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)(?:\r\n|\Z)")
_LINE_START: Final = re.compile(rb"(?:\A|(?<=\r\n))" + _FIELD.pattern)
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
_UNSURE: Final = re.compile(rb"[(\[\\]")
_WORD: Final = re.compile(rb'[^\s<>()",;:]+')

_SES: Final = b"x-ses-"
_OURS: Final = b"x-rq-ses-"
_PRIORITY: Final = b"x-rq-ses-priority"
_DROPPED: Final = frozenset({b"bcc", b"resent-bcc", b"return-path", _PRIORITY})
_DATED: Final = frozenset({b"message-id", b"date"})
_AUTHORS: Final = frozenset({b"from", b"sender"})


@dataclass(frozen=True, slots=True)
class Content:
    """A mail's bytes, and what its header says."""

    data: bytes
    """To be sent, but for the Received header."""
    is_from: str | None
    """The address of the From header, if there is one and it is one; "" if it is another thing."""
    authors: tuple[str, ...]
    """Everything in From and Sender that may be taken for an address, in small letters."""
    commands: tuple[str, ...]
    """Headers that are commands: to SES, or to us."""
    priority: Priority
    told_apart: bool
    """It has a Message-ID or a Date: another mail of the same words would have others."""


def read_content(content: bytes) -> Content:
    """Return what the bytes of a mail say. Raises Refused if they are none that can be sent on."""
    _check_lines(content)
    if not (content.startswith(b"\r\n") or _FIELD.match(content)):
        # Its first line is no header, so it is the body already.
        content = b"\r\n" + content
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n") + 2
    if end == 1:
        content += b"\r\n"
        end = len(content) - 2
    if end > MOST_HEADER:
        raise Refused(replies.LARGE_HEADER)
    fields = [(match[1].lower(), match) for match in _LINE_START.finditer(content, 0, end)]
    names = [name for name, _ in fields]
    if names.count(b"from") > 1:
        raise Refused(replies.TWO_FROMS)
    if names.count(b"received") > MOST_RECEIVED:
        raise Refused(replies.LOOP)
    said = {name: match[2] for name, match in fields}
    commands = tuple(match[1].decode() for name, match in fields if name.startswith((_SES, _OURS)))
    return Content(
        data=_without(content, [match for name, match in fields if name in _DROPPED]),
        is_from=_only_address(said[b"from"]) if b"from" in said else None,
        authors=tuple(one for name, match in fields if name in _AUTHORS for one in _addresses(match[2])),
        commands=commands,
        priority=_priority(said, commands),
        told_apart=not _DATED.isdisjoint(names),
    )


def _check_lines(content: bytes) -> None:
    """Refuse what isn't lines that end in CR LF.

    One server may take a CR or LF alone for the end of a line, and the next one not: then what one calls the
    end of a mail, or a header, the other calls text. aiosmtpd goes by CR LF alone, and leaves the others in.
    """
    lines = content.count(b"\r\n")
    if content.count(b"\n") != lines or content.count(b"\r") != lines:
        raise Refused(replies.BARE)


def _without(content: bytes, fields: list[re.Match[bytes]]) -> bytes:
    if not fields:
        return content
    # Joined once: a copy of the mail for each field would hold everybody up where there are thousands.
    starts = [0, *(match.end() for match in fields)]
    ends = [*(match.start() for match in fields), len(content)]
    view = memoryview(content)
    return b"".join(view[start:end] for start, end in zip(starts, ends, strict=True))


def _priority(said: dict[bytes, bytes], commands: tuple[str, ...]) -> Priority:
    for name in commands:
        if name.lower().encode().startswith(_OURS) and name.lower().encode() != _PRIORITY:
            raise Refused(replies.unknown_term(name))
    word = said.get(_PRIORITY, b"normal").strip().decode("latin-1").lower()
    if word not in PRIORITIES:
        raise Refused(replies.PRIORITY)
    return word


@lru_cache(maxsize=1024)
def _addresses(value: bytes) -> tuple[str, ...]:
    """Return all in a header that anybody may take for an address, wherever it stands but in quotes.

    Each @ counts: `"ann"@example.com` and `ann @ example.com` are addresses, too, of which the half is found.
    """
    if len(value) > _MOST_AUTHORS:
        return ()
    # A quote that nothing closes hides nothing.
    unquoted = _QUOTED.sub(lambda found: b"" if found[1] else found[0], value)
    # In a comment, a domain in brackets or behind a backslash a quote needn't begin what is quoted.
    words = _WORD.findall(value if _UNSURE.search(unquoted) else unquoted)
    return tuple(word.decode("latin-1").lower() for word in words if b"@" in word)


def _only_address(value: bytes) -> str:
    found = _addresses(value)
    return found[0] if len(found) == 1 else ""
