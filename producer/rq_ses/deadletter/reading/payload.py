"""A job's `data` as a payload and its options, and back; whose job it is, told from its first bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rq_ses import contract
from rq_ses.message.reading import AnyMessage, read_message
from rq_ses.server.encoding import encode_job
from rq_ses.server.jobdata import inflated, inflated_head

_HEAD_BYTES: Final = 256
_HEAD: Final = re.compile(rb'\s*\[\s*"%s"\s*,\s*null\s*,' % re.escape(contract.JOB_FUNCTION.encode()))


class Unreadable(ValueError):
    """Raised when a job of ours doesn't hold what a mail needs."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A message as JSON, not validated, and the terms it is sent under (expires, on_unknown)."""

    fields: Mapping[str, Any]
    options: Mapping[str, Any]

    def message(self) -> AnyMessage:
        """Return the message. Raises pydantic.ValidationError, or Unreadable."""
        try:
            return read_message(self.fields)
        except RecursionError as exc:
            raise Unreadable("the payload is nested too deep") from exc

    def data(self) -> bytes:
        """Return RQ's `data` of the job."""
        return encode_job(json.dumps(self.fields, separators=(",", ":")).encode(), self.options)


def is_ours(data: bytes) -> bool:
    """Tell whether `data` (JSON, plain or deflated) calls the job function that sends mails."""
    return _HEAD.match(inflated_head(data, _HEAD_BYTES)) is not None


def read_payload(data: bytes) -> Payload:
    """Return the payload in a job's `data`. Raises Unreadable."""
    try:
        function, instance, args, kwargs = json.loads(inflated(data))
    except (ValueError, TypeError, RecursionError) as exc:
        raise Unreadable("its data is no JSON call") from exc
    if function != contract.JOB_FUNCTION or instance is not None or not isinstance(kwargs, dict):
        raise Unreadable("it is another job")
    options = dict(kwargs)
    payload = args[0] if isinstance(args, list) and len(args) == 1 else options.pop("payload", None)
    if not isinstance(payload, dict):
        raise Unreadable("its payload is no JSON object")
    return Payload(payload, options)
