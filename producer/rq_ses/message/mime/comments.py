"""Comments in headers of MIME, which say nothing (RFC 2045, 3); the standard library takes them for more."""

from __future__ import annotations

import re
from email.message import Message
from typing import Any, Final

_COMMENT: Final = re.compile(r"\([^()]*\)")

_ENCODINGS: Final = frozenset({"7bit", "8bit", "binary", "quoted-printable", "base64"})


def uncommented(value: str) -> str:
    """Return an encoding or a charset without the comments and blanks around it."""
    return _COMMENT.sub(" ", value).strip()


def plainly_encoded(part: Message[Any, Any]) -> bool:
    """Tell whether a part's Content-Transfer-Encoding is a word that is known, and that alone.

    The content of any other part comes undecoded out of the standard library.
    """
    return str(part.get("Content-Transfer-Encoding", "7bit")).lower() in _ENCODINGS
