from __future__ import annotations

import signal

import pytest
from redis import Redis

from rq_ses import Message
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.engine.worker import Capacity, MailWorker, Sending
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.server.connection import SOCKET_TIMEOUT, connect
from rq_ses_worker.ses.outcome import Outcome, Sent


class NoClient:
    def send(self, _message: Message, _job_id: str = "") -> Outcome:
        return Sent()


def made(connection: Redis | None = None) -> MailWorker:
    sending = Sending(NoClient(), RetryPolicy(), GatePolicy())
    return MailWorker(["mail"], connection or Redis(port=1), sending, Capacity())


@pytest.mark.timeout(10)
def test_a_signal_that_meets_the_main_thread_inside_its_event_does_not_hang_the_worker() -> None:
    worker = made()
    with worker._shared.wake._cond:  # as if it had been interrupted in wait() or clear()
        worker.request_stop(signal.SIGTERM, None)
    assert worker._stop_requested
    assert worker._dispatcher._stopping


def test_a_worker_whose_leaving_fails_has_ended_well_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def teardown() -> None:
        raise RuntimeError("pubsub connection not set")

    worker = made()
    monkeypatch.setattr(worker, "_begin", lambda: True)
    monkeypatch.setattr(worker._heartbeat, "start", lambda: None)
    monkeypatch.setattr(worker._sweeper, "start", lambda: None)
    monkeypatch.setattr(worker, "teardown", teardown)
    worker.request_stop(signal.SIGTERM, None)
    assert worker.work() is False
    assert "leaving failed (RuntimeError)" in caplog.text


def test_the_time_out_that_a_url_gives_holds_and_a_client_without_one_gets_ours() -> None:
    for connection, seconds in (
        (connect("redis://127.0.0.1:1?socket_timeout=0.5"), 0.5),
        (connect("redis://127.0.0.1:1"), SOCKET_TIMEOUT),
        (Redis(port=1, socket_timeout=None), SOCKET_TIMEOUT),
    ):
        made(connection)
        assert connection.connection_pool.connection_kwargs["socket_timeout"] == seconds
