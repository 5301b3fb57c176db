"""A mail's trace, from the call that sends it to each attempt: with the SDK, and nobody to send spans to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from redis import Redis

from rq_ses import IdempotencyConflict, Outbox, Submission
from rq_ses.campaign import Entry
from rq_ses.deadletter.reading.payload import read_payload
from rq_ses.errors import UnusableEntry
from rq_ses.message.reading import AnyMessage
from rq_ses.tracing.spans import Tracing
from rq_ses_worker.engine.senders import Attempts
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.engine.threads.underway import Underway
from rq_ses_worker.engine.tracing import TracedAttempts
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.lifecycle.transitions import Lifecycle
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, Transient
from support.bulk import desk
from support.faces import Awaited
from support.mails.keys import KEYS
from support.mails.mail import mail

QUEUE = "mail"


class Traces:
    """Spans that have ended, by whoever makes them."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def tracing(self) -> Tracing:
        found = Tracing()
        found.tracer = self.tracer
        return found

    def outbox(self, redis: Redis, face: Callable[..., Any] = Outbox) -> Any:
        outbox = face(connection=redis, tracing=True)
        inner = outbox if isinstance(outbox, Outbox) else outbox.outbox
        inner._tracing = inner._sending._tracing = self.tracing()
        return outbox

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()


class Client:
    """Answers with what it is told, one after the other."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    def send(self, _: AnyMessage, job_id: str) -> Outcome:
        assert job_id
        return self.outcomes.pop(0)


@pytest.fixture
def traces() -> Traces:
    return Traces()


def attempts(traces: Traces, lifecycle: Lifecycle, client: Client) -> Callable[[], None]:
    """Return what claims a mail, attempts it and settles it."""
    shared, underway = Shared(Leases(30.0), lifecycle.clock), Underway(1)
    policy = RetryPolicy(transient_delay=0.0)
    makes: Attempts = TracedAttempts(traces.tracing(), [QUEUE], client, policy, shared, underway)

    def attempt() -> None:
        lifecycle.promote()
        [claim] = lifecycle.claim(1)[0]
        shared.leases.add(claim.lease, 1e9)
        assert lifecycle.settle([makes.make(claim)], clock=1e9) == ["done"]

    return attempt


def context(span: ReadableSpan) -> tuple[int, int]:
    found = span.get_span_context()
    assert found
    return found.trace_id, found.span_id


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def test_a_mail_that_is_tried_again_is_one_trace_with_linked_attempts(redis: Redis, traces: Traces) -> None:
    outbox = traces.outbox(redis)
    with traces.tracer.start_as_current_span("page") as page:
        job_id = outbox.send(mail()).job_id
    lifecycle = Lifecycle(redis, [QUEUE], "w", "a" * 8, 30.0)
    busy = Transient(503, "ServiceUnavailable", "busy", "r1")
    attempt = attempts(traces, lifecycle, Client(busy, Sent(200, request_id="r2", message_id="m")))
    attempt()
    assert "traceparent" in json.loads(redis.hget(KEYS.job(job_id), "meta"))
    attempt()
    sending, _, first, second = traces.spans
    assert (sending.name, sending.kind, sending.parent) == (f"send {QUEUE}", SpanKind.PRODUCER, page.context)
    assert sending.attributes == {
        "messaging.system": "rq_ses",
        "messaging.destination.name": QUEUE,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.id": job_id,
        "rq_ses.duplicate": False,
    }
    assert (first.name, first.kind, second.kind) == (f"process {QUEUE}", SpanKind.CONSUMER, SpanKind.CONSUMER)
    for one in (first, second):
        assert one.parent
        assert (one.parent.trace_id, one.parent.span_id) == context(sending)
    assert linked(first) == [context(sending)]
    assert linked(second) == [context(sending), context(first)]
    assert first.attributes == {
        "messaging.system": "rq_ses",
        "messaging.destination.name": QUEUE,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": job_id,
        "rq_ses.attempt": 1,
        "rq_ses.outcome": "transient",
        "rq_ses.in_doubt": False,
        "http.response.status_code": 503,
        "aws.request_id": "r1",
        "error.type": "ServiceUnavailable",
    }
    assert first.status.status_code is StatusCode.ERROR
    told = second.attributes or {}
    assert (told["rq_ses.attempt"], told["rq_ses.message_id"], told["aws.request_id"]) == (2, "m", "r2")
    assert second.status.status_code is StatusCode.UNSET
    assert b"traceparent" not in redis.hget(KEYS.job(job_id), "meta")


def test_what_ses_writes_of_addresses_is_in_no_span(redis: Redis, traces: Traces) -> None:
    traces.outbox(redis).send(mail())
    lifecycle = Lifecycle(redis, [QUEUE], "w", "a" * 8, 30.0)
    attempts(
        traces, lifecycle, Client(Terminal(400, "MessageRejected", "a@secret.example is not verified"))
    )()
    assert "secret.example" not in "".join(span.to_json() for span in traces.spans)
    assert traces.spans[-1].status.description == "MessageRejected"


@pytest.mark.parametrize("face", [Outbox, Awaited])
def test_a_batch_is_one_span_whose_context_every_job_has(
    redis: Redis, traces: Traces, face: Callable[..., Any]
) -> None:
    outbox = traces.outbox(redis, face)
    receipts = outbox.send_many([mail(), Submission(mail(), on_unknown="hold")])
    if isinstance(outbox, Awaited):
        outbox.close()
    [span] = traces.spans
    assert (span.attributes or {})["messaging.batch.message_count"] == 2
    trace_id, span_id = context(span)
    stored = [dict(read_payload(redis.hget(KEYS.job(one.job_id), "data")).options) for one in receipts]
    parents = [options.pop("traceparent").rpartition("-")[0] for options in stored]
    assert parents == [f"00-{trace_id:032x}-{span_id:016x}"] * 2
    assert stored == [{}, {"on_unknown": "hold"}]


@pytest.mark.parametrize("face", [Outbox, Awaited])
def test_a_campaign_is_one_span_and_its_jobs_bring_no_trace(
    redis: Redis, traces: Traces, face: Callable[..., Any]
) -> None:
    outbox = traces.outbox(redis, face)
    some = [Entry(to, {"name": "Ann"}) for to in desk.addresses(120)]
    with traces.tracer.start_as_current_span("page") as page:
        outbox.send_bulk(desk.campaign(), some[:70])
        outbox.send_bulk(desk.campaign(), some)
        with pytest.raises(UnusableEntry):
            outbox.send_bulk(desk.campaign(), [Entry("ann@example.com", {})])
    if isinstance(outbox, Awaited):
        outbox.close()
    first, second, third, _ = traces.spans
    for one in (first, second, third):
        assert (one.name, one.kind, one.parent) == (f"send {desk.QUEUE}", SpanKind.PRODUCER, page.context)
    about = {
        "messaging.system": "rq_ses",
        "messaging.destination.name": desk.QUEUE,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "rq_ses.campaign": desk.NAME,
    }
    assert first.attributes == {**about, "messaging.batch.message_count": 70}
    assert second.attributes == {**about, "messaging.batch.message_count": 120}
    assert third.attributes == {**about, "error.type": "UnusableEntry"}
    assert third.status.status_code is StatusCode.ERROR
    jobs = redis.lrange(KEYS.queue(desk.QUEUE), 0, -1)
    assert jobs
    for job_id in jobs:
        assert read_payload(redis.hget(KEYS.job(job_id.decode()), "data")).options.keys() == set()


def test_a_call_that_raises_is_a_span_that_failed(redis: Redis, traces: Traces) -> None:
    outbox = traces.outbox(redis)
    outbox.send(mail(), key="k")
    with pytest.raises(IdempotencyConflict):
        outbox.send(mail(subject="Else"), key="k")
    assert (traces.spans[-1].attributes or {})["error.type"] == "IdempotencyConflict"
    assert traces.spans[-1].events == ()


def test_without_an_sdk_and_without_tracing_a_job_has_no_trace(redis: Redis) -> None:
    for tracing in (True, False):
        job_id = Outbox(connection=redis, tracing=tracing).send(mail()).job_id
        assert read_payload(redis.hget(KEYS.job(job_id), "data")).options == {}


def test_a_mail_whose_trace_is_none_is_sent_all_the_same(redis: Redis, traces: Traces) -> None:
    outbox = Outbox(connection=redis)
    lifecycle = Lifecycle(redis, [QUEUE], "w", "a" * 8, 30.0)
    for parent in ("nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        outbox._sending._tracing = tracing = traces.tracing()
        tracing.carrier = lambda _span, parent=parent: {"traceparent": parent}  # type: ignore[method-assign]
        outbox.send(mail())
        attempts(traces, lifecycle, Client(Sent(200, message_id="m")))()
        assert traces.spans[-1].parent is None
        assert traces.spans[-1].links == ()


def test_a_request_of_a_campaign_is_a_span_of_its_own(redis: Redis, traces: Traces) -> None:
    desk.store(redis, desk.campaign())
    desk.enqueue(redis, desk.campaign(), desk.addresses(3))
    world = desk.Desk(redis, desk.BulkClient())
    plain = world.attempts
    world.attempts = TracedAttempts(
        traces.tracing(), [desk.QUEUE], world.client, world.policy, world.shared, Underway(1), plain._bulk
    )
    world.work()
    assert world.words == ["done"]
    [span] = traces.spans
    assert (span.name, span.kind, span.parent) == (f"process {desk.QUEUE}", SpanKind.CONSUMER, None)
    told = dict(span.attributes or {})
    names = ("rq_ses.campaign", "messaging.batch.message_count", "rq_ses.attempt")
    assert [told[name] for name in names] == [desk.NAME, 3, 1]
    assert told["rq_ses.outcome"] == "sent"
    assert span.status.status_code is StatusCode.UNSET
