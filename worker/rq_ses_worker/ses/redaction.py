"""What AWS and front ends echo of a request, taken out of a text before anybody stores it.

Signature errors repeat the signed headers, session token included, and IncompleteSignature repeats the whole
Authorization header.
"""

from __future__ import annotations

import re
from typing import Final

_BOUND: Final = 8192
"""Characters looked at; a longer text is cut, so that no answer makes this slow."""

_ECHO: Final = re.compile(
    r"(?:\bThe\s+)?\b(?:Canonical (?:String|Request)|String-to-Sign) (?:for|should)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_ECHOED_VALUES: Final = (
    (r"\bAWS4-HMAC-SHA256[ ,]+\w+=[^'\"<>]*", "AWS4-HMAC-SHA256 ***"),
    (r"(\bAuthorization[\"']?\s*[:=]\s*[\"']?(?:\w+\s+)?)(?!AWS4-HMAC-SHA256 \*)[^\s'\",]+", r"\1***"),
    (r"(\b(?:x-amz-)?(?:signature|credential)\s*=\s*[\"']?)[^\s'\",&;<>]+", r"\1***"),
    (r"((?:security|session)[-_]?token[\"']?\s*[:=]\s*[\"']?)[^\s'\",&;<>]+", r"\1***"),
    # The beginnings AWS's session tokens have had so far.
    (r"\b(?:IQoJ|FwoG|FQoG|FQoD|AQoD|AgoJ)[A-Za-z0-9+/=%_-]{16,}", "***"),
)
_PATTERNS: Final = tuple((re.compile(p, re.IGNORECASE), new) for p, new in _ECHOED_VALUES)


def redact(text: str) -> str:
    """Return `text`, bounded, without the canonical strings, signatures and tokens it may echo."""
    text = _ECHO.sub("", text[:_BOUND]).rstrip()
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
