"""What goes along with a claim: it is done before, in the same round trip, and none spoils the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import ResponseError

from rq_ses_worker.lifecycle.records import Lease, Suspended, Word
from rq_ses_worker.server.errand import Along, Errand, single
from rq_ses_worker.server.scripts import Call
from support.mails.keys import KEYS
from support.mails.transitions import Story, retry, sent


class Round:
    """A settlement and a promotion that go along with a claim, and what they came to."""

    def __init__(self, story: Story, *leases: Lease) -> None:
        self.words: list[Word] = []
        self.promoted: list[tuple[int, float | None]] = []
        settlements = [sent(lease) for lease in leases]
        settling = story.ours.settlement(settlements, clock=time.monotonic())
        self.along: Sequence[Along[Any]] = [
            Along(settling, self.words.extend),
            Along(story.ours.promotion(), self.promoted.append),
        ]


def test_a_claim_finds_what_was_promoted_with_it_and_what_went_along_is_settled(story: Story) -> None:
    assert story.ours.promote() == (0, None)
    story.enqueue("later")
    story.settle([retry(story.claim().lease, 0.0)])
    story.enqueue()
    lease = story.ours.claim(1)[0][0].lease
    together = Round(story, lease)
    claims, _ = story.ours.claim(2, together.along)
    assert (together.words, together.promoted) == (["done"], [(1, None)])
    assert [claim.lease.job_id for claim in claims] == ["later"]
    assert story.places() == ["finished"]


def test_one_packet_goes_to_the_server_for_all_of_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.enqueue("a")
    story.enqueue("b")
    lease = story.claim().lease
    story.settle([sent(lease)])
    story.ours.promote()
    packets: list[Any] = []
    connection = story.redis.connection_pool.get_connection()
    send = type(connection).send_packed_command
    story.redis.connection_pool.release(connection)

    def counted(self: Any, command: Any, **options: Any) -> None:
        packets.append(command)
        send(self, command, **options)

    monkeypatch.setattr(type(connection), "send_packed_command", counted)
    claims, _ = story.ours.claim(1, Round(story, lease).along)
    assert [claim.lease.job_id for claim in claims] == ["b"]
    assert len(packets) == 1


def test_a_server_that_has_forgotten_its_scripts_does_it_all_the_same(story: Story) -> None:
    story.enqueue("a")
    story.enqueue("b")
    lease = story.claim().lease
    story.redis.script_flush()
    together = Round(story, lease)
    claims, _ = story.ours.claim(1, together.along)
    assert (together.words, together.promoted) == (["done"], [(0, None)])
    assert [claim.lease.job_id for claim in claims] == ["b"]


def test_a_claim_is_had_though_what_went_along_was_refused_or_could_not_be_read(story: Story) -> None:
    story.enqueue()
    told: list[object] = []
    no = Call(story.redis.register_script("return redis.error_reply('ERR no')"), [], [])
    refused: Errand[object] = single(no, lambda reply: reply)
    unread: Errand[object] = Errand(story.ours.promotion().calls, lambda replies: 1 / len(replies[9:]))
    claims, _ = story.ours.claim(1, [Along(refused, told.append), Along(unread, told.append)])
    assert [claim.lease.job_id for claim in claims] == ["j1"]
    assert told == []


def test_what_goes_along_is_done_though_the_claim_is_refused(story: Story) -> None:
    story.enqueue()
    together = Round(story, story.claim().lease)
    story.redis.set(KEYS.suspended, 1)
    with pytest.raises(Suspended):
        story.ours.claim(1, together.along)
    assert together.words == ["done"]
    assert story.places() == ["finished"]


def test_a_claim_that_is_refused_says_so_after_what_went_along(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.enqueue()
    together = Round(story, story.claim().lease)
    script = story.redis.register_script("return redis.error_reply('ERR no')")
    story.redis.script_load(script.script)
    monkeypatch.setitem(story.ours._scripts, "claim", script)
    with pytest.raises(ResponseError, match="no"):
        story.ours.claim(1, together.along)
    assert together.words == ["done"]
