"""The threads that send outlive what they can't handle, and lose none of their mails."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from rq_ses.server.encoding import encode_job
from rq_ses_worker.engine import attempt
from rq_ses_worker.engine.senders import Senders
from rq_ses_worker.engine.threads.shared import Shared
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.ses.outcome import Outcome, Sent
from support.mails.mail import mail
from support.waiting import PATIENCE, wait_for


def lease(name: str) -> Lease:
    return Lease(0, name, "aaaa000000001")


class CountingClient:
    def __init__(self) -> None:
        self.sent = 0

    def send(self, _: object, _job_id: str = "") -> Outcome:
        self.sent += 1
        return Sent(200)


def senders(leases: Leases, settled: list[Settlement], client: CountingClient) -> Senders:
    return Senders(1, client, RetryPolicy(), Shared(leases), settle=settled.append)


def claim(name: str, data: bytes) -> Claim:
    return Claim(lease(name), data, b"", fresh=True, hooked=False)


def data_of_a_mail() -> bytes:
    return encode_job(mail().to_payload(), {})


def test_a_mail_whose_lease_may_have_run_out_is_given_back_unsent() -> None:
    leases, settled, client = Leases(0.0), [], CountingClient()
    leases.add(lease("a"), 0.0)
    crew = senders(leases, settled, client)
    crew.start()
    crew.submit(claim("a", data_of_a_mail()))
    wait_for(lambda: settled)
    crew.stop()
    crew.join()
    assert client.sent == 0
    assert [(s.action, s.meta, s.fields) for s in settled] == [("back", {}, {"fresh": 1})]


def test_a_claim_that_cannot_be_handled_stops_no_thread(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases, settled, client = Leases(1e9), [], CountingClient()
    read_job = attempt.read_job

    def picky(data: bytes, **options: Any) -> Any:
        if data == b"poison":
            raise MemoryError
        return read_job(data, **options)

    monkeypatch.setattr(attempt, "read_job", picky)
    for name in ("a", "b"):
        leases.add(lease(name), 0.0)
    crew = senders(leases, settled, client)
    with caplog.at_level(logging.CRITICAL):
        crew.start()
        crew.submit(claim("a", b"poison"))
        crew.submit(claim("b", data_of_a_mail()))
        wait_for(lambda: len(settled) == 2)
        crew.stop()
        crew.join()
    assert [s.action for s in settled] == ["failed", "sent"]
    assert settled[0].fields["exc"].startswith("InternalError: MemoryError while sending")
    assert crew.idle == 1


class SlowClient(CountingClient):
    def __init__(self) -> None:
        super().__init__()
        self.answering = threading.Event()

    def send(self, message: object, _job_id: str = "") -> Outcome:
        outcome = super().send(message)
        assert self.answering.wait(PATIENCE)
        return outcome


def test_at_the_end_mails_held_ready_go_back_and_what_is_being_sent_is_sent() -> None:
    leases, settled, client = Leases(1e9), [], SlowClient()
    crew = senders(leases, settled, client)
    crew.start()
    for name in ("a", "b", "c"):
        leases.add(lease(name), 0.0)
        crew.submit(claim(name, data_of_a_mail()))
    wait_for(lambda: client.sent == 1)
    crew.stop()
    client.answering.set()
    crew.join()
    assert client.sent == 1
    assert {s.lease.job_id: s.action for s in settled} == {"a": "sent", "b": "back", "c": "back"}
    assert crew.busy == 0


def test_a_thread_that_has_another_mail_ready_calls_for_none() -> None:
    leases, settled, client, calls = Leases(1e9), [], SlowClient(), []
    wake = SimpleNamespace(set=lambda: calls.append(1))
    crew = Senders(1, client, RetryPolicy(), Shared(leases, wake=wake), settle=settled.append)  # type: ignore[arg-type]
    crew.start()
    for name in ("a", "b"):
        leases.add(lease(name), 0.0)
        crew.submit(claim(name, data_of_a_mail()))
    client.answering.set()
    wait_for(lambda: len(settled) == 2 and crew.idle == 1)
    crew.stop()
    crew.join()
    assert calls == [1]


def test_a_mail_goes_ahead_of_the_bulk_jobs_that_are_held_ready() -> None:
    leases, settled, order = Leases(30.0), [], []
    for name in ("first", "job-1", "job-2", "urgent"):
        leases.add(lease(name), time.monotonic())
    begun, go_on = threading.Event(), threading.Event()

    class Patient(CountingClient):
        def send(self, _: object, job_id: str = "") -> Outcome:
            order.append(job_id)
            begun.set()
            go_on.wait(PATIENCE)
            return super().send(_, job_id)

    crew = senders(leases, settled, Patient())
    crew.start()
    crew.submit(claim("first", data_of_a_mail()))
    assert begun.wait(PATIENCE)
    # Their payload doesn't matter here: the gate has granted them entries.
    crew.submit(claim("job-1", data_of_a_mail())._replace(granted=50))
    crew.submit(claim("job-2", data_of_a_mail())._replace(granted=50))
    crew.submit(claim("urgent", data_of_a_mail()))
    go_on.set()
    wait_for(lambda: len(settled) == 4)
    crew.stop()
    crew.join()
    assert order == ["first", "urgent", "job-1", "job-2"]
