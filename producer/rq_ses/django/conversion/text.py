"""What Django takes for text, as text."""

from __future__ import annotations


def text_of(value: object) -> str:
    """Return a string, a lazy one, a number or bytes in UTF-8 as a plain string."""
    if type(value) is str:
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    # Of a subclass (SafeString) str() would return the same object.
    return "".join(str(value))
