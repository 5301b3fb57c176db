"""The header of a mail that exists as MIME, read for what has to be known of it, never to be written anew.

What is read here is for people's eyes and for checks: the bytes themselves are what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import Final, Self

SES_TAGS: Final = b"x-ses-message-tags"
"""The header that gives a mail tags, in small letters."""

_END: Final = re.compile(rb"\A\r?\n|\r?\n(?=\r?\n)")
_FIELD: Final = re.compile(rb"[!-9;-~]+[ \t]*:")
_SHOWN: Final = 2000
"""Bytes of a header that are decoded: looking for encoded words takes the square of their number."""
_SES_TAG: Final = re.compile(rb"([A-Za-z0-9_-]{1,256})[ \t]*=[ \t]*([A-Za-z0-9_-]{1,256})")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")


def may_have(mime: bytes, name: bytes) -> bool:
    """Tell, in a microsecond, whether a mail's header may have a field of this name (in small letters)."""
    end = mime.find(b"\n\r\n")
    if (nearer := mime.find(b"\n\n", 0, end if end >= 0 else len(mime))) >= 0:
        end = nearer
    return name in mime[: end if end >= 0 else len(mime)].lower()


class HeaderBlock:
    """The lines of a header; `lines` are they, unfolded."""

    def __init__(self, block: bytes) -> None:
        self.lines = [line.rstrip(b"\r") for line in _FOLD.sub(b"", block).split(b"\n") if line.strip()]

    @classmethod
    def of(cls, mime: bytes) -> Self | None:
        """Return the header of a mail; None if no blank line ends it."""
        end = _END.search(mime)
        return cls(mime[: end.start()]) if end else None

    def problem(self) -> str:
        """Return what is wrong with it, "" if nothing is."""
        if not self.lines:
            return "begins with a blank line, so it has no header: give the mail with its header"
        if self.lines[0].startswith(b"From "):
            return "begins with an mbox's line (From …), which is no header: leave that line out"
        for number, line in enumerate(self.lines, 1):
            if not _FIELD.match(line):
                return (
                    f"header {number} is no name with a colon and a value: a header, a blank line and the "
                    "body are what a mail is made of"
                )
        return ""

    def first(self, name: str) -> str | None:
        """Return the first value of a header, encoded words decoded; None if there is none."""
        start = name.lower().encode()
        for line in self.lines:
            found, _, value = line.partition(b":")
            if found.rstrip().lower() == start:
                return decoded(value.strip())
        return None

    def ses_tags(self) -> dict[str, str] | None:
        """Return the tags that X-SES-MESSAGE-TAGS gives the mail; None if SES alone knows what it says."""
        tags: dict[str, str] = {}
        for line in self.lines:
            found, _, value = line.partition(b":")
            if found.rstrip().lower() == SES_TAGS:
                for pair in value.split(b","):
                    if not (read := _SES_TAG.fullmatch(pair.strip())):
                        return None
                    tags[read[1].decode()] = read[2].decode()
        return tags

    def texts(self) -> Iterator[str]:
        """Yield each header as a line of text, encoded words decoded."""
        for line in self.lines:
            yield decoded(line)


def decoded(value: bytes) -> str:
    """Return a header's value as text, its beginning: what can't be decoded stays, or is replaced."""
    text = value[:_SHOWN].decode("utf-8", "replace")
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (MessageError, ValueError, LookupError):
        return text
