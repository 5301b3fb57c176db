"""How fast one client may go."""

from __future__ import annotations

from rq_ses_worker.smtp.access import rate
from rq_ses_worker.smtp.access.rate import Rate


def test_without_a_bound_nobody_waits() -> None:
    free = Rate(0)
    free.spend("ann", 1_000_000, 0.0)
    assert free.wait("ann", 0.0) == 0


def test_a_minutes_recipients_pass_and_then_as_many_as_time_brings() -> None:
    bound = Rate(60)
    for _ in range(60):
        assert bound.wait("ann", 100.0) == 0
        bound.spend("ann", 1, 100.0)
    assert bound.wait("ann", 100.0) == 1.0
    assert bound.wait("ben", 100.0) == 0
    assert bound.wait("ann", 101.0) == 0
    bound.spend("ann", 1, 101.0)
    assert bound.wait("ann", 101.5) == 0.5


def test_a_heavy_mail_passes_and_leaves_a_debt() -> None:
    bound = Rate(60)
    bound.spend("ann", 100, 0.0)
    assert bound.wait("ann", 0.0) == 41
    assert bound.wait("ann", 41.0) == 0
    assert bound.wait("ann", 10_000.0) == 0


def test_the_memory_is_bounded() -> None:
    bound = Rate(1)
    for number in range(rate.MOST_CLIENTS + 1):
        bound.spend(str(number), 1, float(number) / 1e6)
    assert len(bound._buckets) == rate.MOST_CLIENTS
    assert bound.wait("0", 1.0) == 0
    assert bound.wait(str(rate.MOST_CLIENTS), 1.0) > 0
