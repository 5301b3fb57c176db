"""A job's `data` as a producer writes it. Workers read it by rq_ses.server.jobdata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from rq_ses.contract import JOB_FUNCTION

# At once, and not with the first mail: by then there may be no descriptor left to load it with.
try:  # the extra "fast": the same format in a third of the time
    from isal.isal_zlib import compress
except ImportError:
    from zlib import compress

_FUNCTION: Final = JOB_FUNCTION.encode()


def encode_job(payload: bytes, options: Mapping[str, Any]) -> bytes:
    """Return RQ's `data` of a job that sends `payload` (a message as JSON), deflated as RQ itself does."""
    return compress(plain_job(payload, options), 1)


def plain_job(payload: bytes, options: Mapping[str, Any]) -> bytes:
    """Return the same, not deflated."""
    extra = json.dumps(dict(options)).encode() if options else b"{}"
    return b'["%s",null,[%s],%s]' % (_FUNCTION, payload, extra)
