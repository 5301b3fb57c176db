"""Spans of OpenTelemetry about what is sent, by its API alone: whoever wants to see them brings the SDK.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from rq_ses.receipt import CampaignReceipt, Receipt
from rq_ses.tracing.trace import Trace

SYSTEM: Final = "rq_ses"
_FLUSH: Final = 5000
"""Milliseconds."""

Result = TypeVar("Result")


def is_installed() -> bool:
    """Tell whether OpenTelemetry's API is there, without loading it."""
    try:
        return find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:
        return False


class Tracing:
    """Makes the spans of a process.

    Raises:
        ValueError: OpenTelemetry's API isn't installed.
    """

    def __init__(self) -> None:
        if not is_installed():
            raise ValueError("tracing: needs OpenTelemetry's API: pip install 'rq-ses[otel]'")
        from importlib.metadata import version

        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace: Any = trace
        # It follows the provider, whenever that is set.
        self.tracer: Any = trace.get_tracer("rq_ses", version("rq-ses"))
        self._propagator = TraceContextTextMapPropagator()

    @property
    def is_seen(self) -> bool:
        """Whether somebody has set up an SDK, which shows spans to somebody."""
        return type(self._trace.get_tracer_provider()).__name__ != "ProxyTracerProvider"

    def sending(
        self,
        plan: Generator[Any, Any, Result],
        queue: str,
        use: Callable[[Mapping[str, str]], None] = lambda _: None,
        *,
        batch: bool,
        campaign: str = "",
    ) -> Generator[Any, Any, Result]:
        """Carry out a plan of an Outbox under a PRODUCER span, which is nobody's current one.

        Args:
            plan: its outcome are Receipts, and errors in the places of some; or a CampaignReceipt.
            queue: the mails' destination.
            use: is given what their jobs' options get.
            batch: whether it may be many.
            campaign: name of the campaign whose entries they are.
        """
        attributes = described("send", queue) | ({"rq_ses.campaign": campaign} if campaign else {})
        span = self.tracer.start_span(
            f"send {queue}", kind=self._trace.SpanKind.PRODUCER, attributes=attributes
        )
        use(self.carrier(span))
        try:
            result = yield from plan
        except BaseException as exc:
            self.fail(span, type(exc).__name__)
            raise
        else:
            self._tell(span, result, batch=batch)
            return result
        finally:
            span.end()

    def carrier(self, span: Any) -> dict[str, str]:
        """Return a span's context as the options of a job have it; nothing where nobody makes spans."""
        found: dict[str, str] = {}
        self._propagator.inject(found, self._trace.set_span_in_context(span))
        return found

    def context(self, trace: Trace | None) -> Any:
        """Return the context that a mail brings; an empty one if it brings none."""
        from opentelemetry.context import Context

        return self._propagator.extract(trace.carrier(), Context()) if trace else Context()

    def link(self, trace: Trace | None) -> list[Any]:
        """Return the links to a span: one, or none if it can't be read."""
        found = self._trace.get_current_span(self.context(trace)).get_span_context()
        return [self._trace.Link(found)] if found.is_valid else []

    def fail(self, span: Any, kind: str, text: str = "") -> None:
        """Let a span say that it failed: by an error's name, and a text that holds nothing secret."""
        span.set_attribute("error.type", kind)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, text or kind))

    def flush(self) -> None:
        """Let the SDK send what it holds: a process that was forked ends without a last word."""
        flush = getattr(self._trace.get_tracer_provider(), "force_flush", None)
        if flush:
            flush(_FLUSH)

    def _tell(self, span: Any, result: Any, *, batch: bool) -> None:
        if isinstance(result, CampaignReceipt):
            span.set_attribute("messaging.batch.message_count", result.enqueued + result.duplicates)
            return
        results: Sequence[Any] = result if isinstance(result, list) else [result]
        if batch:
            span.set_attribute("messaging.batch.message_count", len(results))
        if len(results) == 1 and isinstance(results[0], Receipt):
            span.set_attribute("messaging.message.id", results[0].job_id)
            span.set_attribute("rq_ses.duplicate", results[0].duplicate)
        refused = [one for one in results if isinstance(one, Exception)]
        if refused:
            self.fail(span, type(refused[0]).__name__)


def described(operation: str, queue: str) -> dict[str, Any]:
    """Return the attributes that each span has: what is done, and in which queue."""
    return {
        "messaging.system": SYSTEM,
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
