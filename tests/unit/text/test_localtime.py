from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from rq_ses.text.localtime import checked_moment, read_moment


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("local", "text", "words"),
    [
        (
            "Europe/Berlin", "2027-03-28T02:30",
            r"2027-03-28T02:30:00 doesn't exist .*: write 2027-03-28T01:30:00\+01:00 or \S+03:30:00\+02:00",
        ),
        (
            "Europe/Berlin", "2027-10-31T02:30",
            r"2027-10-31T02:30:00 exists twice .*: write 2027-10-31T02:30:00\+02:00 or \S+02:30:00\+01:00",
        ),
        ("America/New_York", "2027-03-14T02:00", r"doesn't exist .*T01:00:00-05:00 or .*T03:00:00-04:00"),
        ("America/New_York", "2027-11-07 01:59:59", r"exists twice .*-04:00 or .*-05:00"),
        ("Australia/Lord_Howe", "2027-04-04T01:45", r"exists twice .*\+11:00 or .*\+10:30"),
        ("Pacific/Apia", "2011-12-30T12:00", r"doesn't exist .*-29T12:00:00-10:00 or .*-31T12:00:00\+14:00"),
    ],
    indirect=["local"],
)  # fmt: skip
@pytest.mark.usefixtures("local")
def test_a_local_time_that_is_none_or_two_is_refused_with_both_readings(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_moment(text)


@pytest.mark.parametrize(
    ("local", "text", "moment"),
    [
        ("Europe/Berlin", "2027-03-28T01:59:59", "2027-03-28T01:59:59+01:00"),
        ("Europe/Berlin", "2027-03-28T03:00", "2027-03-28T03:00:00+02:00"),
        ("Europe/Berlin", "2027-10-31T01:59", "2027-10-31T01:59:00+02:00"),
        ("Europe/Berlin", "2027-10-31T03:00", "2027-10-31T03:00:00+01:00"),
        ("Europe/Berlin", "2027-03-28T02:30+01:00", "2027-03-28T02:30:00+01:00"),
        ("UTC", "2027-03-28", "2027-03-28T00:00:00+00:00"),
    ],
    indirect=["local"],
)
@pytest.mark.usefixtures("local")
def test_any_other_local_time_gets_its_offset(text: str, moment: str) -> None:
    assert read_moment(text).isoformat() == moment


@pytest.mark.parametrize("text", ["tomorrow", "", "2027-02-30", "0001-01-01", "9999-12-31T23:59:59.999999x"])
def test_what_is_no_date_and_time_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no date and time: write 2026-05-31T09:00:00\+02:00"):
        read_moment(text)


def test_a_datetime_that_does_not_exist_in_its_zone_is_refused() -> None:
    zone = ZoneInfo("Europe/Berlin")
    with pytest.raises(
        ValueError, match=r"at: 2027-03-28T02:30:00 doesn't exist .*01:30:00\+01:00 or .*03:30"
    ):
        checked_moment("at", datetime(2027, 3, 28, 2, 30, tzinfo=zone))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2027, 10, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(2027, 3, 28, 2, 30, tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_a_datetime_that_names_one_moment_stays(moment: datetime) -> None:
    assert checked_moment("at", moment) is moment
