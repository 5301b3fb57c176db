"""The list as apps use it."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from redis import Redis

from rq_ses.keys import Keys
from rq_ses.server.connection import connect
from rq_ses.suppression import Suppressed, Suppression
from rq_ses.suppression.entry import bucket_key
from rq_ses.suppression.files import Form

AT = datetime(2026, 11, 29, 10, tzinfo=UTC)
LONG = "a" * 60 + "@" + "b" * 30 + ".example"


@pytest.fixture
def suppression(redis_url: str) -> Suppression:
    return Suppression(redis_url)


def test_an_address_is_found_under_any_of_its_spellings(suppression: Suppression) -> None:
    assert suppression.add("Ann Lee <Ann@BÜCHER.example>", reason="bounce", text="NoEmail", at=AT) == "added"
    entry = Suppressed("ann@xn--bcher-kva.example", "bounce", AT, "NoEmail")
    assert suppression.get("ANN@bücher.example") == entry
    assert "ann@xn--bcher-kva.example" in suppression
    assert suppression.suppressed_of(["bob@example.com", "ann@Bücher.example"]) == {entry.address: entry}
    assert str(entry) == "ann@xn--bcher-kva.example (bounce, NoEmail, 2026-11-29)"
    assert suppression.remove("Ann@bücher.example", "bob@example.com") == 1
    assert "ann@bücher.example" not in suppression


def test_the_moment_is_now_where_none_is_given(suppression: Suppression) -> None:
    suppression.add("ann@example.com")
    found = suppression.get("ann@example.com")
    assert found is not None
    assert abs((datetime.now(UTC) - found.at).total_seconds()) < 60
    assert found.reason == "manual"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"address": "ann"}, "not an e-mail address"),
        ({"address": "bounce@simulator.amazonses.com"}, "mailbox simulator, which is on no list"),
        ({"address": "ann@example.com", "reason": "why"}, "reason: 'why' is none: give one of manual"),
        (
            {"address": "ann@example.com", "at": AT.replace(tzinfo=None)},
            "at: 2026-11-29T10:00:00 has no time zone",
        ),
    ],
)
def test_what_cannot_be_put_on_the_list_is_refused_before_it_is_touched(
    suppression: Suppression, redis: Redis, values: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        suppression.add(**values)  # type: ignore[arg-type]
    assert redis.keys("*") == []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_list_survives_a_file(suppression: Suppression, redis: Redis, form: Form) -> None:
    entries = [Suppressed(f"user{n}@example.com", "bounce", AT, "x" * (n % 3)) for n in range(1200)]
    entries.append(Suppressed(LONG, "complaint", AT))
    told: list[int] = []
    added = suppression.add_many(entries, on_progress=lambda done: told.append(done.added))
    assert (added.added, told) == (1201, [500, 1000, 1201])
    assert suppression.count() == 1201
    target = io.StringIO()
    assert suppression.export(target, form) == 1201
    redis.flushall()
    file = target.getvalue() + "nobody\nbounce@simulator.amazonses.com\n"
    problems: list[int] = []
    done = suppression.restore(
        io.BytesIO(file.encode()),
        "csv" if form == "csv" else form,
        on_problem=lambda n, _: problems.append(n),
    )
    assert done.added == 1201
    assert sorted(suppression) == sorted(entries)
    assert suppression.restore(io.BytesIO(file.encode()), form).known == 1201
    if form == "csv":
        assert (done.excepted, done.bad, problems) == (1, 1, [1203])


def test_the_list_stands_under_the_clients_own_prefix(redis_url: str, redis: Redis) -> None:
    with connect(redis_url, socket_timeout=5, connect_timeout=5, keys=Keys("{mail}")) as client:
        Suppression(connection=client).add("ann@example.com")
    keys = Keys("{mail}")
    assert set(redis.keys("*")) == {
        keys.suppressed.encode(),
        bucket_key(keys, "ann@example.com").encode(),
    }


def test_a_bucket_of_another_type_holds_nothing_of_ours(suppression: Suppression, redis: Redis) -> None:
    redis.set(bucket_key(Keys.default(), "ann@example.com"), "x")
    suppression.add("bob@example.com")
    assert suppression.get("ann@example.com") is None
    assert [one.address for one in suppression] == ["bob@example.com"]
    assert suppression.count() == 1
