from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rq_ses.outbox.batching import batches, in_turn


@dataclass(frozen=True)
class Piece:
    number: int
    size: int = 1


def pieces(count: int) -> Iterator[list[Piece]]:
    return batches((Piece(number) for number in range(count)), most=2, most_bytes=100)


def test_batches_come_with_their_replies_in_order() -> None:
    replies = in_turn(lambda batch: [one.number for one in batch], pieces(7), full=2)
    assert [reply for _, reply in replies] == [[0, 1], [2, 3], [4, 5], [6]]


def test_no_batch_is_called_before_the_reply_of_the_one_before_it_was_taken() -> None:
    called: list[int] = []
    turns = in_turn(lambda batch: called.append(batch[0].number), pieces(6), full=2)
    next(turns)
    assert called == [0]
    turns.close()
    assert called == [0]


def test_a_batch_under_way_is_answered_although_the_next_cannot_be_made() -> None:
    def broken() -> Iterator[Piece]:
        yield from (Piece(0), Piece(1), Piece(2))
        raise ValueError("the fourth")

    called: list[int] = []
    turns = in_turn(
        lambda batch: called.append(batch[0].number), batches(broken(), most=2, most_bytes=100), full=2
    )
    assert [one.number for one in next(turns)[0]] == [0, 1]
    with pytest.raises(ValueError, match="the fourth"):
        next(turns)
    assert called == [0]


def test_what_a_call_raises_is_raised_in_its_turn_and_ends_the_rest() -> None:
    called: list[int] = []

    def call(batch: list[Piece]) -> None:
        called.append(batch[0].number)
        if batch[0].number == 2:
            raise ConnectionError("away")

    turns = in_turn(call, pieces(6), full=2)
    next(turns)
    with pytest.raises(ConnectionError, match="away"):
        next(turns)
    assert called == [0, 2]


def test_a_single_small_batch_stays_in_the_callers_thread() -> None:
    threads = [reply for _, reply in in_turn(lambda _: threading.current_thread(), pieces(1), full=2)]
    assert threads == [threading.current_thread()]
