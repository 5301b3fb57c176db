"""What a job asks for, read from RQ's `data` with suspicion: whoever can write to Redis wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from rq_ses import contract
from rq_ses.contract import ON_UNKNOWN, OnUnknown
from rq_ses.message.message import explain
from rq_ses.message.reading import AnyMessage, read_message
from rq_ses.server.jobdata import inflated
from rq_ses.text.jsontext import read_json
from rq_ses.text.plaintext import one_line
from rq_ses.tracing.trace import TRACEPARENT, Trace

if TYPE_CHECKING:
    from rq_ses.campaign.bulkjob import BulkJob


class JobRefused(Exception):
    """Raised when a job isn't one of ours, or its payload isn't a valid message; `code` says which."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = one_line(reason, 500)
        super().__init__(f"{code}: {self.reason}")


class Task(NamedTuple):
    """A valid message, or a bulk job, and its terms.

    `expires` is the moment (epoch seconds) after which it must not be sent; `on_unknown` says what becomes of
    it when SES may have accepted it (None: what the worker's policy says). `trace` is where it comes from.
    """

    message: AnyMessage
    expires: float | None = None
    on_unknown: OnUnknown | None = None
    trace: Trace | None = None
    bulk: BulkJob | None = None
    """In place of a message: entries of a campaign."""

    @property
    def to(self) -> Sequence[str]:
        """The recipients, for the log."""
        return [entry.to for entry in self.bulk.entries] if self.bulk else self.message.to

    @property
    def options(self) -> dict[str, Any]:
        """What the job function was given beside the payload."""
        given = {"expires": self.expires, "on_unknown": self.on_unknown}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def recipients(self) -> Sequence[str]:
        """All who are to get it, without display names: whom the suppression list is asked about."""
        return [entry.to for entry in self.bulk.entries] if self.bulk else self.message.recipients


def read_job(data: bytes, *, hooked: bool = False) -> Task:
    """Return the task in a job's `data` (JSON, plain or zlib, as RQ reads it).

    Raises:
        JobRefused: it names another callable, carries callbacks or webhooks (`hooked`), isn't JSON, or its
            payload isn't a valid message. Nothing of it is imported, unpickled or executed.
    """
    if hooked:
        raise JobRefused(
            "JobRefused", "callbacks and webhooks are never executed: enqueue the job without them"
        )
    try:
        call = read_json(inflated(data))
        function, instance, args, kwargs = call
    except (ValueError, TypeError, RecursionError) as exc:
        raise JobRefused(
            "JobRefused", "its data is not a JSON call: enqueue with rq_ses.Outbox or JSONSerializer"
        ) from exc
    if function != contract.JOB_FUNCTION or instance is not None:
        raise JobRefused("JobRefused", f"only {contract.JOB_FUNCTION} is executed, not {function!r:.200}")
    return read_call(args, kwargs)


def read_call(args: Any, kwargs: Any) -> Task:
    """Return the task in the arguments of the job function (rq_ses_worker.job.send).

    Raises:
        JobRefused: the arguments aren't those, or the payload isn't a valid message.
    """
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        raise JobRefused(
            "InvalidMessage", "the arguments must be send(payload, expires=None, on_unknown=None)"
        )
    options = dict(kwargs)
    payload = args[0] if len(args) == 1 else options.pop("payload", None)
    expires, on_unknown = options.pop("expires", None), options.pop("on_unknown", None)
    trace = Trace.taken(options) if TRACEPARENT in options else None
    if len(args) > 1 or options or not isinstance(payload, Mapping):
        raise JobRefused(
            "InvalidMessage", "the arguments must be send(payload, …), payload a Message as JSON"
        )
    if expires is not None and (isinstance(expires, bool) or not isinstance(expires, int | float)):
        raise JobRefused("InvalidMessage", f"expires: {expires!r:.80} is no time: give epoch seconds")
    if on_unknown is not None and on_unknown not in ON_UNKNOWN:
        raise JobRefused("InvalidMessage", f"on_unknown: {on_unknown!r:.80} is neither resend nor hold")
    try:
        if "entries" in payload and "campaign" in payload:
            return Task(_NO_MESSAGE, expires, on_unknown, trace, _bulk_job(payload))
        return Task(read_message(payload), expires, on_unknown, trace)
    except ValidationError as exc:
        raise JobRefused("InvalidMessage", "; ".join(explain(exc))) from exc
    except RecursionError as exc:
        raise JobRefused("InvalidMessage", "the payload is nested too deep") from exc


_NO_MESSAGE: Final[Any] = None


def _bulk_job(payload: Mapping[str, Any]) -> BulkJob:
    # Most workers never have one.
    from rq_ses.campaign import bulkjob

    try:
        return bulkjob.read(payload)
    except ValidationError:
        raise
    except ValueError as exc:
        raise JobRefused("InvalidMessage", f"the bulk job {exc}") from exc
