"""SES's words without what differs from mail to mail, so that ten thousand refusals are one cause."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from rq_ses.plaintext import one_line

_LIMIT: Final = 500
_NOT: Final = r"\s@,;:()<>\[\]\"'‹›"
_ADDRESS: Final = re.compile(rf"[^{_NOT}]++@[^{_NOT}…]*[^{_NOT}….]")
_QUOTED: Final = re.compile(r'\\?"(?:[^"\\]|\\.){1,80}"@' + rf"[^{_NOT}…]*[^{_NOT}….]")
"""An address whose local part is in quotes, which may hold spaces."""
_ID: Final = re.compile(r"(?<![\w-])(?=[\w-]{0,200}\d)[\w-]{16,200}(?![\w-])")
_NUMBER: Final = re.compile(r"(?<![\w-])\d+(?:[.,:]\d+)*(?![\w-])")
# A list of addresses may be cut in the middle of one.
_ADDRESSES: Final = re.compile(r"ADDRESS(?:[,;]\s*(?:ADDRESS|[^\s,;]*…$))+")


def cause(message: str) -> str:
    """Return `message` on one inert line, with ADDRESS, ID and NUMBER in place of what differs."""
    text = message[:_LIMIT]
    if '"@' in text:
        text = _QUOTED.sub("ADDRESS", text)
    if "@" in text:
        # Word by word: the pattern is slow on all that is no address.
        words = text.split(" ")
        text = " ".join([_ADDRESS.sub("ADDRESS", word) if "@" in word else word for word in words])
    return _rest(text)


# Addresses are what differs most: without them the same few texts come again and again.
@lru_cache(maxsize=1024)
def _rest(text: str) -> str:
    text = _ADDRESSES.sub("ADDRESS", one_line(text, _LIMIT))
    return _NUMBER.sub("NUMBER", _ID.sub("ID", text))
