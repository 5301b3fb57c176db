"""The settler and the senders outlive what they can't handle."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from rq_ses_worker import settler as settler_module
from rq_ses_worker.leases import Leases
from rq_ses_worker.lifecycle import Claim, Lease, Settlement, Word, sent_fields
from rq_ses_worker.outcome import Outcome, Sent
from rq_ses_worker.retry import RetryPolicy
from rq_ses_worker.sending import Senders
from rq_ses_worker.settler import Settler
from rq_ses_worker.shift import Shift
from support.mail import mail
from support.waiting import wait_for


class PickyLifecycle:
    """Raises for settlements whose meta holds `poison`, as JSON does for some."""

    def __init__(self) -> None:
        self.written: list[Settlement] = []

    def settle(self, settlements: Sequence[Settlement], **_: float) -> list[Word]:
        if any("poison" in settlement.meta for settlement in settlements):
            raise RecursionError
        self.written += settlements
        return ["done"] * len(settlements)


def lease(name: str) -> Lease:
    return Lease(0, name, "aaaa000000001")


def sent(name: str, **meta: Any) -> Settlement:
    return Settlement(lease(name), "sent", datetime.now(UTC), {"attempts": 3, **meta}, sent_fields({}))


def test_an_outcome_that_cannot_be_written_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    lifecycle, leases = PickyLifecycle(), Leases(30.0)
    shift = Shift(leases)
    settler = Settler(lifecycle, shift)  # type: ignore[arg-type]
    for name in ("a", "b", "c"):
        leases.add(lease(name), 0.0)
        settler.put(sent(name, **({"poison": 1} if name == "b" else {})))
    with caplog.at_level(logging.CRITICAL):
        settler.start()
        assert settler.stop(5.0)
    assert {s.lease.job_id: s.meta for s in lifecycle.written} == {
        "a": {"attempts": 3},
        "b": {"attempts": 3},
        "c": {"attempts": 3},
    }
    assert len(leases) == 0
    assert shift.wake.is_set()


class CountingClient:
    def __init__(self) -> None:
        self.sent = 0

    def send(self, _: object) -> Outcome:
        self.sent += 1
        return Sent(200)


def senders(leases: Leases, settled: list[Settlement], client: CountingClient) -> Senders:
    return Senders(1, client, RetryPolicy(), Shift(leases), settle=settled.append)


def claim(name: str, data: bytes) -> Claim:
    return Claim(lease(name), data, b"", fresh=True, hooked=False)


def data_of_a_mail() -> bytes:
    from rq_ses import contract

    return contract.encode_job(mail().to_payload(), {})


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
    from rq_ses_worker import sending

    leases, settled, client = Leases(1e9), [], CountingClient()
    read_job = sending.read_job

    def picky(data: bytes, **options: Any) -> Any:
        if data == b"poison":
            raise MemoryError
        return read_job(data, **options)

    monkeypatch.setattr(sending, "read_job", picky)
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

    def send(self, message: object) -> Outcome:
        outcome = super().send(message)
        assert self.answering.wait(10.0)
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
    crew = Senders(1, client, RetryPolicy(), Shift(leases, wake=wake), settle=settled.append)  # type: ignore[arg-type]
    crew.start()
    for name in ("a", "b"):
        leases.add(lease(name), 0.0)
        crew.submit(claim(name, data_of_a_mail()))
    client.answering.set()
    wait_for(lambda: len(settled) == 2 and crew.idle == 1)
    crew.stop()
    crew.join()
    assert calls == [1]


@pytest.mark.parametrize(("several", "batch"), [(1, 2), (2, 3), (9, 4)])
def test_a_batch_waits_for_others_while_it_is_small(
    monkeypatch: pytest.MonkeyPatch, several: int, batch: int
) -> None:
    lifecycle, leases = PickyLifecycle(), Leases(30.0)
    rounds: list[int] = []
    wake = SimpleNamespace(set=lambda: rounds.append(len(lifecycle.written)))
    settler = Settler(lifecycle, Shift(leases, wake=wake), several=several)  # type: ignore[arg-type]
    pauses: list[float] = []

    def arriving(seconds: float) -> None:
        pauses.append(seconds)
        settler.put(sent(f"later{len(pauses)}"))

    monkeypatch.setattr(settler_module, "time", SimpleNamespace(sleep=arriving, monotonic=time.monotonic))
    settler.put(sent("first"))
    settler.start()
    wait_for(lambda: rounds)
    assert settler.stop(5.0)
    assert rounds[0] == batch
    assert set(pauses) == {settler_module.GATHER}
