from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rq_ses import Message
from rq_ses.errors import SendManyInterrupted
from rq_ses.outbox.call import Call
from rq_ses.outbox.entry import Entry
from rq_ses.outbox.plans import sending
from rq_ses.outbox.plans.sending import Sending
from rq_ses.outbox.threads import Threads
from rq_ses.plan import Plan
from support.mails.mail import mail
from support.waiting import PATIENCE

Sent = list[list[str]]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BATCH_MESSAGES", 2)


class Noting:
    """Stands in the place of what writes batches; notes them, by the first recipient of each message."""

    def __init__(self, act: Callable[[list[str]], None] = lambda _: None) -> None:
        self.batches: Sent = []
        self.threads: list[threading.Thread] = []
        self._act = act

    def batch(self, entries: list[Entry], _: Call) -> Plan[list[str]]:
        yield from ()
        names = [str(entry.fields[2]).partition("@")[0] for entry in entries]
        self.batches.append(names)
        self.threads.append(threading.current_thread())
        self._act(names)
        return ["enqueued"] * len(entries)


def mails(count: int) -> Iterator[Message]:
    return (mail(f"{number}@example.com") for number in range(count))


def send(noting: Noting, messages: Any) -> list[Any]:
    plans: Any = Sending("mail", noting)  # type: ignore[arg-type]
    return Threads(messages).carry_out(plans.send_many(Call("raise", durable=False)))


def test_batches_are_written_one_after_the_other_in_order() -> None:
    noting = Noting()
    assert len(send(noting, mails(7))) == 7
    assert noting.batches == [["0", "1"], ["2", "3"], ["4", "5"], ["6"]]


def test_while_a_full_batch_is_written_the_next_is_made_and_no_other_is() -> None:
    drawn, at_once, begun = [], [], threading.Event()

    def drawing() -> Iterator[Message]:
        for number, message in enumerate(mails(6)):
            drawn.append(number)
            if number == 3:
                begun.set()
            yield message

    def act(names: list[str]) -> None:
        if names[0] == "0":
            assert begun.wait(PATIENCE)
        at_once.append(len(drawn))

    send(Noting(act), drawing())
    assert at_once[0] == 4


def test_a_batch_under_way_counts_although_the_next_cannot_be_made() -> None:
    def broken() -> Iterator[Message]:
        yield from mails(3)
        raise ValueError("the fourth")

    noting = Noting()
    with pytest.raises(SendManyInterrupted, match="the fourth") as caught:
        send(noting, broken())
    assert len(caught.value.receipts) == 2
    assert noting.batches == [["0", "1"]]


def test_what_a_batch_ends_with_ends_the_call_in_its_turn() -> None:
    def act(names: list[str]) -> None:
        if names[0] == "2":
            raise ConnectionError("away")

    noting = Noting(act)
    with pytest.raises(ConnectionError, match="away"):
        send(noting, mails(6))
    assert noting.batches == [["0", "1"], ["2", "3"]]


def test_a_single_small_batch_stays_in_the_callers_thread() -> None:
    noting = Noting()
    send(noting, mails(1))
    assert noting.threads == [threading.current_thread()]
