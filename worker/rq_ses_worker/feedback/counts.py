"""What `rq-ses feedback` counts: numbers that its threads write and its monitor reads."""

from __future__ import annotations

import threading
from typing import Final, get_args

from rq_ses.feedback.receiver import Word

WORDS: Final[tuple[Word, ...]] = get_args(Word)


class Counts:
    """Messages by what became of them, from the start on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.messages: dict[Word, int] = dict.fromkeys(WORDS, 0)
        self.left = 0
        """Messages that were left in their queue, for nobody can read them."""
        self.away = False
        """Whether the queue can't be read at the moment."""

    def count(self, word: Word) -> None:
        """Count a message."""
        with self._lock:
            self.messages[word] += 1

    def count_left(self) -> None:
        """Count a message that is left in its queue."""
        with self._lock:
            self.left += 1
