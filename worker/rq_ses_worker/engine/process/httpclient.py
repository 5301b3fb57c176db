"""Loads requests for the worker's own process: without what guesses the encodings of texts.

requests does without it where it isn't installed, and nobody asks it for a guess here: SES answers in JSON.
It would take 2.5 MB of each worker. A stock `rq worker` and an app's tests, whose other code may want it,
load requests as it is.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Final

_GUESSING: Final = ("chardet", "charset_normalizer")


def _load() -> None:
    absent = [name for name in _GUESSING if sys.modules.setdefault(name, None) is None]  # type: ignore[arg-type]
    try:
        with warnings.catch_warnings():
            # Of requests's own: that it can't guess.
            warnings.simplefilter("ignore")
            importlib.import_module("requests")
    finally:
        for name in absent:
            del sys.modules[name]


_load()
