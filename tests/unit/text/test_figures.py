"""Numbers in words: whole, with the right nouns, and what isn't known told from what has no bound."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from rq_ses.cli.breaker import _rows
from rq_ses.gate import GateState
from rq_ses.status.snapshot import QueueState, Snapshot
from rq_ses.status.view import UNKNOWN, screen
from rq_ses.text.figures import age, counted, duration, figure, rate


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1e6, "1,000,000"), (1e15, "1,000,000,000,000,000"), (1234567.8, "1,234,568"), (99999.94, "99,999.9"),
        (14, "14"), (14.0, "14"), (0.1, "0.1"), (0.00001, "0.00001"), (1 / 3, "0.333333"), (0, "0"),
        (200.5, "200.5"), (float("inf"), "?"), (float("nan"), "?"),
    ],
)  # fmt: skip
def test_a_figure_has_no_exponent(number: float, shown: str) -> None:
    assert figure(number) == shown


def test_nouns_fit_their_numbers() -> None:
    assert (rate(1), rate(1e6)) == ("1 recipient a second", "1,000,000 recipients a second")
    assert (counted(1, "mail", "mails"), counted(2000, "mail", "mails")) == ("1 mail", "2,000 mails")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.25, "0.2 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"),
     (7200, "2 h"), (172_800, "2 d"), (float("inf"), "?")],
)  # fmt: skip
def test_a_duration_is_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (-0.5, "0 s ago"),
        (-90, "in 1 min"),
    ],
)
def test_an_age_is_rounded_down(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


# The same on the screen of rq-ses status

GATE = GateState(
    account="default", region="eu-west-1", now=1000.0, breaker="closed", manual=False, reason="", since=None,
    next_probe=None, probe=None, closed_at=None, openings=0, failures=0, claimed=0, rate=None,
    max_send_rate=None, rate_in_use=0.0, quota=None, quota_left=None, answered=None, refused=None,
)  # fmt: skip


def shown(width: int = 100, served: tuple[str, ...] = (), **changes: Any) -> str:
    snapshot = Snapshot(
        now=1000.0,
        suspended=False,
        queues=(QueueState("mail", 3394, 7, 1, 12, 9.4, 480.0, 2),),
        workers=(),
        other_workers=0,
        gates=(replace(GATE, **changes),),
        mails=(),
        served=served,
    )
    console = Console(file=StringIO(), width=width)
    console.print(screen(snapshot, None, title="rq-ses"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_what_isn_t_known_is_told_from_what_has_no_bound() -> None:
    unknown = shown()
    assert "0.0 in use of a rate not known: SES hasn't told it" in unknown
    assert "day        not known: SES hasn't told it" in unknown
    told = shown(answered=990.0)
    assert "0.0 in use of no bound" in told
    assert "day        no bound" in told
    assert "not known" in shown(answered=1000.0 - 90_000).partition("day")[2]


def test_the_breakers_command_knows_as_long_as_the_status_does() -> None:
    for answered, quota in ((None, UNKNOWN), (990.0, "no bound"), (1000.0 - 90_000, UNKNOWN)):
        rows = dict(_rows(replace(GATE, answered=answered), served=True))
        assert rows["daily quota"] == quota


def test_a_large_rate_is_written_in_full() -> None:
    text = shown(rate=1e6, max_send_rate=2.5e6, rate_in_use=1234.5)
    assert "1,234.5 in use of 1,000,000 recipients a second" in text
    assert "lowered after a 429 from 2,500,000" in text


def test_a_probe_is_announced_where_a_worker_of_the_account_runs_alone() -> None:
    open_ = {"breaker": "open", "since": 990.0, "next_probe": 1005.0}
    assert "next probe in 5.0 s" in shown(served=("default:eu-west-1",), **open_)
    for served in ((), ("other:eu-west-1",), ("default:us-east-1",)):
        assert "no probes: no worker of this account runs" in shown(served=served, **open_)


def test_a_queue_has_lines_of_its_own_where_the_table_does_not_fit() -> None:
    wide, narrow = shown(100), shown(40)
    assert "mail    3,394   9.4 s        7          1     8 min      12         2" in wide
    text = " ".join(narrow.split())
    assert (
        "mail 3,394 queued (oldest 9.4 s), 7 sending, 1 scheduled (next due in 8 min), 12 failed, 2 canceled"
        in text
    )
    assert max(map(len, narrow.splitlines())) <= 40
