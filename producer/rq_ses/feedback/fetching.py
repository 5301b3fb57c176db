"""One GET of an address of AWS's that has been checked: short, bounded, never redirected."""

from __future__ import annotations

import time
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError

TIMEOUT: Final = 5.0
"""Seconds for all of it: SNS waits 15 for an answer."""

LIMIT: Final = 65_536
"""Bytes of an answer that are read; a certificate takes 2 KB."""


class NotFetched(OSError):
    """Raised when no answer came, or none with 200; the text is ours."""


class _Straight(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nobody: who redirects answers with an error."""


def fetch(url: str) -> bytes:
    """Return what an https address answers with; a proxy is used if the environment names one for https.

    Raises:
        NotFetched: it can't be had now.
    """
    ends = time.monotonic() + TIMEOUT
    opener = urllib.request.build_opener(_Straight)
    try:
        with opener.open(url, timeout=TIMEOUT / 2) as answer:
            if answer.status != 200:
                raise NotFetched(f"it was answered with {answer.status}")
            return _read(answer, ends)
    except HTTPError as exc:
        exc.close()
        raise NotFetched(f"it was answered with {exc.code}") from None
    except (OSError, HTTPException, ValueError) as exc:
        if isinstance(exc, NotFetched):
            raise
        raise NotFetched(f"{type(exc).__name__}: {getattr(exc, 'reason', exc)}") from exc


def _read(answer: Any, ends: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := answer.read1(8192):
        pieces.append(piece)
        size += len(piece)
        if size > LIMIT:
            raise NotFetched(f"the answer is longer than {LIMIT} bytes")
        if time.monotonic() > ends:
            raise NotFetched(f"the answer takes longer than {TIMEOUT:.0f} s")
    return b"".join(pieces)
