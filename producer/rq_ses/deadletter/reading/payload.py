"""A job's `data` as a payload and its options, and back; whose job it is, told from its first bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from rq_ses import contract
from rq_ses.campaign.bulkjob import BulkJob, is_bulk
from rq_ses.campaign.bulkjob import read as read_bulk
from rq_ses.message.message import explain
from rq_ses.message.reading import AnyMessage, read_message
from rq_ses.server.encoding import encode_job
from rq_ses.server.jobdata import inflated, inflated_head

_HEAD_BYTES: Final = 256
_HEAD: Final = re.compile(rb'\s*\[\s*"%s"\s*,\s*null\s*,' % re.escape(contract.JOB_FUNCTION.encode()))


_NONE: Final = (None,) * 4


class Unreadable(ValueError):
    """Raised when a job of ours doesn't hold what a mail needs."""


class Shared(NamedTuple):
    """A campaign's terms as they stand in Redis: their JSON, and what it says, unjudged."""

    text: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Payload:
    """A message as JSON, not validated, and the terms it is sent under (expires, on_unknown).

    Or a campaign's entries (rq_ses.campaign.bulkjob), with what they share.
    """

    fields: Mapping[str, Any]
    options: Mapping[str, Any]
    shared: Shared | None = None
    """The campaign's terms; None if they are missing, or weren't read."""

    @property
    def is_bulk(self) -> bool:
        """Whether these are a campaign's entries."""
        return is_bulk(self.fields)

    def mails(self) -> list[Mapping[str, Any]]:
        """Return the fields of each mail, as far as they can be read: of an entry its own and the shared."""
        if not self.is_bulk:
            return [self.fields]
        shared = self.shared.fields if self.shared else {}
        entries = self.fields["entries"]
        return [_as_mail(shared, entry) for entry in entries] if isinstance(entries, list) else []

    def bulk(self) -> BulkJob:
        """Return a campaign's entries. Raises Unreadable."""
        try:
            return read_bulk(self.fields)
        except ValidationError as exc:
            raise Unreadable("; ".join(explain(exc))) from exc
        except (ValueError, RecursionError) as exc:
            raise Unreadable(str(exc)) from exc

    def message(self) -> AnyMessage:
        """Return the message. Raises pydantic.ValidationError, or Unreadable."""
        if self.is_bulk:
            raise Unreadable(
                "it is a campaign's: its entries share one template, which can't be changed for some"
            )
        try:
            return read_message(self.fields)
        except RecursionError as exc:
            raise Unreadable("the payload is nested too deep") from exc

    def data(self) -> bytes:
        """Return RQ's `data` of the job."""
        return encode_job(json.dumps(self.fields, separators=(",", ":")).encode(), self.options)


def _as_mail(shared: Mapping[str, Any], entry: Any) -> Mapping[str, Any]:
    """Return an entry as a message's fields."""
    to, _, headers, tags, *_ = [*entry, *_NONE] if isinstance(entry, list) else _NONE
    template = shared.get("template")
    subject = template.get("subject") if isinstance(template, dict) else None
    known: dict[str, Any] = {**shared, "subject": subject}
    for name, own in (("headers", headers), ("tags", tags)):
        if isinstance(own, dict):
            old = known.get(name)
            known[name] = {**old, **own} if isinstance(old, dict) else own
    return known | {"to": to}


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
