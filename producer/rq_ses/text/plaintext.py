"""Text from strangers, made fit for one line of a log, a terminal or a page that doesn't escape.

rq-dashboard prints descriptions, errors and meta as HTML, and terminals obey control characters. What SES
or a sender wrote is therefore neutralised before it is stored, and the sentence stays readable.
"""

from __future__ import annotations

import re
import unicodedata

_BRACKETS = str.maketrans({"<": "‹", ">": "›"})
_ENTITY = re.compile(r"&(?=#|[A-Za-z]+[0-9]*;)")
_RISKY = re.compile(r"[^ -%'-;=?-~]")
"""`<`, `>`, `&` and whatever isn't printable ASCII, as one class: alternatives cost three times as much."""


def one_line(text: str, limit: int, *, markup: bool = False) -> str:
    """Return `text` as one line of at most `limit` characters without control characters or markup.

    With `markup` its `<`, `>` and `&` stay, for a terminal, where an address may be copied; such a line has
    to be escaped before it stands in HTML.
    """
    if _RISKY.search(text):
        text = "".join(" " if unicodedata.category(c) in _INVISIBLE else c for c in text[: 4 * limit])
        if not markup:
            text = _ENTITY.sub("＆", text.translate(_BRACKETS))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


# Control, format (bidirectional overrides), surrogate, private, unassigned, line and paragraph separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
