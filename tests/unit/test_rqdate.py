"""Moments as RQ writes and reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from rq.utils import str_to_date
from rq.utils import utcformat as written_by_rq

from rq_ses.rqdate import utcformat


@pytest.mark.parametrize("microseconds", [0, 6, 999_999])
@pytest.mark.parametrize("zone", [UTC, None, timezone(timedelta(0))])
def test_a_moment_is_written_as_rq_writes_it_and_read_by_rq(microseconds: int, zone: timezone | None) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, microseconds, zone)
    assert utcformat(moment) == written_by_rq(moment)
    assert str_to_date(utcformat(moment).encode()) == moment.replace(tzinfo=UTC)
