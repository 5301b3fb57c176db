"""The keys under which something is sent once: what may be one."""

from __future__ import annotations

from typing import Final

KEY_LIMIT: Final = 512
"""Characters."""


def checked_key(key: str) -> str:
    """Return `key`, which can be an idempotency key. Raises ValueError for any other."""
    if not isinstance(key, str) or not 0 < len(key) <= KEY_LIMIT or not is_unicode(key):
        raise ValueError(f"key: {key!r:.80} can't be used: give a text of 1 to {KEY_LIMIT} characters")
    return key


def is_unicode(text: str) -> bool:
    """Tell whether `text` can be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
