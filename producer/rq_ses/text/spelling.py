"""What somebody may have meant who has misspelt a word."""

from __future__ import annotations

from collections.abc import Iterable


def close_matches(word: str, known: Iterable[str], most: int, cutoff: float = 0.6) -> list[str]:
    """Return at most so many of the known words that are like one, the likest first."""
    from difflib import get_close_matches  # here, for few words are misspelt

    return get_close_matches(word, list(known), most, cutoff)
