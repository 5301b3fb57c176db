"""SES's words without what differs from mail to mail, so that ten thousand refusals are one cause."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from rq_ses.contract import SUPPRESSED
from rq_ses.text.plaintext import one_line

OWN_WORDS: Final = frozenset({"InvalidMessage", "JobRefused"})
"""Codes whose words are ours, and quote what a message or a job holds (rq_ses.text.invalid.shown)."""

_LIMIT: Final = 500
_NOT: Final = r"\s@,;:()<>\[\]\"'‹›"
_ADDRESS: Final = re.compile(rf"[^{_NOT}]++@[^{_NOT}…]*[^{_NOT}….]")
_QUOTED_LOCAL: Final = re.compile(r'\\?"(?:[^"\\]|\\.){1,80}"@' + rf"[^{_NOT}…]*[^{_NOT}….]")
"""An address whose local part is in quotes, which may hold spaces."""
_ID: Final = re.compile(r"(?<![\w-])(?=[\w-]{0,200}\d)[\w-]{16,200}(?![\w-])")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_NUMBER: Final = re.compile(r"(?<![\w-])\d+(?:[.,:]\d+)*(?![\w-])")
# A list of addresses may be cut in the middle of one.
_ADDRESSES: Final = re.compile(r"ADDRESS(?:[,;]\s*(?:ADDRESS|[^\s,;]*…$))+")
_WORKER: Final = re.compile(r"\bworker \S.{0,200}? was lost\b")
_GAVE_UP: Final = re.compile(r"; (?:gave up|expired before the next attempt)\b.*")
"""What rq_ses_worker.lifecycle.retry says after a text, and of whom."""

_QUOTED: Final = re.compile(r"""(?<!\w)b?(?:'(?:[^'\\]|\\.)*(?:'…?|$)|"(?:[^"\\]|\\.)*(?:"…?|$))""")
_VALUE: Final = re.compile(r"\bValue '.*?' at '")
"""So SES quotes a value, before the field's name that is worth keeping."""


def cause(message: str, code: str = "") -> str:
    """Return `message` on one inert line, with ADDRESS, ID, NUMBER, NAME and TEXT in place of what differs.

    `code` names the error: whether its words are our own.
    """
    text = _GAVE_UP.sub("", message[: 2 * _LIMIT])
    if code == SUPPRESSED:
        return _rest(text.partition(":")[0])
    text = _WORKER.sub("worker NAME was lost", text)
    text = _QUOTED.sub("TEXT", text) if code in OWN_WORDS else _VALUE.sub("Value TEXT at '", text)
    text = text[:_LIMIT]
    if '"@' in text:
        text = _QUOTED_LOCAL.sub("ADDRESS", text)
    if "@" in text:
        # Word by word: the pattern is slow on all that is no address.
        words = text.split(" ")
        text = " ".join([_ADDRESS.sub("ADDRESS", word) if "@" in word else word for word in words])
    return _rest(text)


# Addresses are what differs most: without them the same few texts come again and again.
@lru_cache(maxsize=1024)
def _rest(text: str) -> str:
    text = _ADDRESSES.sub("ADDRESS", one_line(text, _LIMIT))
    return _NUMBER.sub("NUMBER", _ID.sub("ID", _MOMENT.sub("NUMBER", text)))
