"""The lines of MIME: mail servers cut or refuse those that are too long."""

from __future__ import annotations

from rq_ses.message.limits import MIME_LINE


def long_line(data: bytes) -> int:
    """Return the number of the first line that no mail may have, 0 if there is none."""
    start, size = 0, len(data)
    while size - start > MIME_LINE.most:
        # The last line that ends within reach: so most lines are never looked at one by one.
        end = data.rfind(b"\n", start, start + MIME_LINE.most + 2)
        if end == start + MIME_LINE.most + 1 and data[end - 1 : end] != b"\r":
            end = data.rfind(b"\n", start, end)
        if end < 0:
            rest = data[start : start + MIME_LINE.most + 2].removesuffix(b"\r")
            return data.count(b"\n", 0, start) + 1 if len(rest) > MIME_LINE.most else 0
        start = end + 1
    return 0
