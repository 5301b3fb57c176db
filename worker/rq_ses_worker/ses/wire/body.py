"""The body of an answer, as far as it comes."""

from __future__ import annotations

from typing import Final

from requests import Response
from urllib3.exceptions import HTTPError

from rq_ses_worker.ses.wire.connection import WholeAnswer

_PIECE: Final = 65_536


def read_what_comes(answer: Response | WholeAnswer, limit: int) -> bytes:
    """Return what of the body arrives in the exchange's time, about `limit` bytes at most; nothing is raised.

    A connection whose answer was read to its end goes back to the pool, every other one is closed.
    """
    if isinstance(answer, WholeAnswer):
        return answer.body
    raw = answer.raw
    pieces: list[bytes] = []
    size = 0
    whole = False
    try:
        while size < limit:
            piece = raw.read(min(_PIECE, raw.length_remaining or _PIECE), decode_content=True)
            pieces.append(piece)
            size += len(piece)
            if not piece or (raw.length_remaining == 0 and "Content-Encoding" not in answer.headers):
                whole = True
                break
    except (HTTPError, OSError, ValueError):
        pass
    if not whole:
        raw.close()
    raw.release_conn()
    return b"".join(pieces)
