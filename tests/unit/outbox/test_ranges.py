"""What an Outbox refuses before it speaks to a server."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rq_ses import Message, Outbox, Submission
from rq_ses.errors import UnusableMessage
from rq_ses.outbox.entry import Draft

URL = "redis://127.0.0.1:1/0"
MAIL = Message(sender="a@shop.example", to="b@customer.example", subject="Hi", text="Hello")
ODD = (None, "5", b"5", [5], {}, math.nan, math.inf, -math.inf, True, -2, 10**30)


@pytest.mark.parametrize("name", ["result_ttl", "failure_ttl"])
@pytest.mark.parametrize("value", [*ODD, 1.5, 60.0])
def test_a_ttl_that_redis_and_rq_could_not_read_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* is out of range: give whole seconds"):
        Outbox(URL, **{name: value})


@pytest.mark.parametrize("name", ["enqueue_timeout", "durable_timeout"])
@pytest.mark.parametrize("value", [*ODD, 0])
@pytest.mark.parametrize("replicas", [0, 1])
def test_a_wait_that_is_none_is_refused(name: str, value: Any, replicas: int) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* is out of range: give seconds > 0"):
        Outbox(URL, durable_replicas=replicas, **{name: value})


@pytest.mark.parametrize("value", [*ODD, 1.5])
def test_a_number_of_replicas_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^durable_replicas: .* is out of range: give a number from 0"):
        Outbox(URL, durable_replicas=value)


class Nowhere(tzinfo):
    """A zone that doesn't tell its offset: Python takes such a moment for a local one."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


@pytest.mark.parametrize("name", ["at", "expires"])
def test_a_zone_without_an_offset_is_none(name: str) -> None:
    terms: dict[str, Any] = {name: datetime(2030, 1, 1, tzinfo=Nowhere())}
    with pytest.raises(ValueError, match=f"^{name}: .* has no time zone: give an aware datetime"):
        Draft(Submission(MAIL, **terms), "mail").entry(1e9)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (
            datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=9))),
        ),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    ],
)  # fmt: skip
def test_the_ends_of_the_calendar_are_named_like_other_moments(first: datetime, last: datetime) -> None:
    with pytest.raises(ValueError, match=r"^expires: 0001-01-01T00:00:00\+00:00 is past"):
        Submission(MAIL, expires=first).options(lambda: 1e9)
    with pytest.raises(ValueError, match=r"^expires: 9999-12-31T23:59:59\+00:00 is not after"):
        Submission(MAIL, at=last, expires=last).options(lambda: 1e9)


@pytest.mark.parametrize("messages", [None, 5, MAIL, Submission(MAIL)])
@pytest.mark.parametrize("call", [Outbox.send_many, Outbox.try_send_many])
def test_what_is_no_iterable_of_messages_is_named(call: Any, messages: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^messages: a .* is no iterable of messages: give a list, or call send"
    ):
        call(Outbox(URL), messages)


def test_a_field_of_a_subclass_that_no_worker_knows_is_named() -> None:
    class Invoice(Message):
        number: int = 0

    class Plain(Message):
        pass

    fields: dict[str, Any] = {"sender": "a@shop.example", "to": "b@x.example", "subject": "s", "text": "t"}
    with pytest.raises(UnusableMessage, match=r"Invoice, which has fields that no Message has \(number\)"):
        Outbox(URL).send_many([Invoice(**fields, number=4711)])
    with pytest.raises(Exception, match="Redis"):
        Outbox(URL, enqueue_timeout=0.1).send(Plain(**fields))
