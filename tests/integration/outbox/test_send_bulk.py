"""A campaign's entries in the queue: each once, whatever breaks off in between."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from rq_ses import OutboxUnavailable, contract
from rq_ses.campaign import Campaign, CampaignReceipt, Entry, Template, bulkjob
from rq_ses.campaign.names import entry_id
from rq_ses.errors import CampaignConflict, SendBulkInterrupted, UnusableEntry
from rq_ses.outbox.bulk import filling
from rq_ses.outbox.outbox import Outbox
from rq_ses.partition import partition_of
from support.mails.breaking import BreakableSource, each_break
from support.mails.keys import KEYS

BULK = "mail-bulk"
RECORD = KEYS.campaign("spring")


def campaign(**terms: Any) -> Campaign:
    template = Template(subject="For {{name}}", html="<p>{{name}}</p>")
    return Campaign(**{"name": "spring", "sender": "shop@example.com", "template": template, **terms})


def entries(count: int, first: int = 0) -> Iterator[Entry]:
    return (Entry(f"user{n}@example.org", {"name": f"User {n}"}) for n in range(first, first + count))


def jobs(redis: Redis, queue: str = BULK) -> list[Job]:
    return Queue(queue, connection=redis, serializer=contract.SERIALIZER).get_jobs()


def sent(redis: Redis) -> Counter[str]:
    """Return how often each address of the campaign stands in the queue."""
    found = [bulkjob.read(job.args[0]) for job in jobs(redis)]
    return Counter(entry.to for job in found for entry in job.entries if job.campaign == "spring")


def record(redis: Redis) -> dict[str, str]:
    stored: Any = redis.hgetall(RECORD)
    return {name.decode(): value.decode() for name, value in stored.items()}


def everybody(count: int) -> Counter[str]:
    return Counter(f"user{n}@example.org" for n in range(count))


def test_entries_stand_in_jobs_of_fifty_that_rq_reads_and_their_terms_stand_once(redis: Redis) -> None:
    given = campaign(on_unknown="hold")
    assert Outbox(redis).send_bulk(given, entries(120)) == CampaignReceipt("spring", 120)
    queued = jobs(redis)
    assert [len(job.args[0]["entries"]) for job in queued] == [50, 50, 20]
    job = queued[0]
    assert (job.func_name, job.kwargs) == (contract.JOB_FUNCTION, {"on_unknown": "hold"})
    assert job.description == "user0@example.org (+49) → campaign spring"
    raw: Any = redis.hgetall(KEYS.job(job.id))
    assert (raw[b"rq_ses_campaign"], raw[b"rq_ses_recipients"]) == (b"spring", b"50")
    read = bulkjob.read(job.args[0])
    assert read.entries[7] == (
        "user7@example.org", {"name": "User 7"}, {}, {}, entry_id("spring", "user7@example.org")
    )  # fmt: skip
    stored: Any = redis.get(KEYS.terms(read.terms))
    assert bulkjob.read_terms("spring", read.terms, stored) == given
    found = record(redis)
    assert (found["state"], found["queue"], found["enqueued"], found["complete"]) == (
        "sending",
        BULK,
        "120",
        "1",
    )
    assert "writing" not in found
    assert redis.smembers(KEYS.campaigns) == {b"spring"}


def test_entries_that_are_known_are_not_queued_again_wherever_they_stand(redis: Redis) -> None:
    outbox = Outbox(redis)
    outbox.send_bulk(campaign(), entries(70))
    mixed = [
        *entries(40, 50),
        *entries(10),
        *entries(30, 200),
        Entry("Shown <user200@example.org>", {"name": "x"}),
    ]
    receipt = outbox.send_bulk(campaign(), mixed)
    assert (receipt.enqueued, receipt.duplicates) == (50, 31)
    assert sent(redis) == everybody(90) + Counter(f"user{n}@example.org" for n in range(200, 230))
    assert record(redis)["enqueued"] == "120"


def test_an_address_gets_two_mails_only_under_two_keys(redis: Redis) -> None:
    ann = [Entry("ann@example.org", {"name": "A"}, key=key) for key in ("1", "2", "1")]
    shown = [Entry(to, {"name": "A"}) for to in ("ann@example.org", "Ann@Example.org", "A <ANN@example.org>")]
    receipt = Outbox(redis).send_bulk(campaign(), [*ann, *shown])
    assert (receipt.enqueued, receipt.duplicates) == (3, 3)
    assert sent(redis) == Counter({"ann@example.org": 3})


def test_a_campaign_of_millions_is_gone_on_with_in_steps_that_ask_first(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "ASKED", 30)
    monkeypatch.setattr(filling, "JOBS", 2)
    outbox = Outbox(redis)
    outbox.send_bulk(campaign(), entries(500))
    numbers = int(record(redis)["jobs"])
    receipt = outbox.send_bulk(campaign(), entries(1000))
    assert (receipt.enqueued, receipt.duplicates) == (500, 500)
    assert sent(redis) == everybody(1000)
    assert int(record(redis)["jobs"]) == numbers + 200, "numbers were taken for what was known"


def test_nothing_is_enqueued_twice_when_replies_are_lost(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import ConnectionError as Lost

    from rq_ses.outbox.threads import ThreadLine

    real, calls = ThreadLine.exchange, Counter[str]()

    def losing(self: ThreadLine, exchange: Any) -> Any:
        answer = real(self, exchange)
        name = exchange.commands[0][0]
        calls[name] += 1
        if name == "EVALSHA" and calls[name] % 2:
            raise Lost("the answer is lost")
        return answer

    monkeypatch.setattr(ThreadLine, "exchange", losing)
    receipt = Outbox(redis, enqueue_timeout=30).send_bulk(campaign(), entries(2500))
    assert receipt == CampaignReceipt("spring", 2500)
    assert sent(redis) == everybody(2500)
    assert record(redis)["enqueued"] == "2500"


def test_another_campaign_of_the_name_is_refused_before_anything_is_written(redis: Redis) -> None:
    outbox = Outbox(redis)
    outbox.send_bulk(campaign(), entries(1))
    for other in (campaign(sender="other@example.com"), campaign(tags={"a": "b"})):
        with pytest.raises(
            CampaignConflict, match="campaign spring: it exists with another template or other"
        ):
            outbox.send_bulk(other, entries(5))
    assert sent(redis) == everybody(1)
    redis.hset(RECORD, "state", "canceled")
    with pytest.raises(CampaignConflict, match="it was canceled: give another one a name of its own"):
        outbox.send_bulk(campaign(), entries(5))


def test_an_entry_without_its_data_ends_the_call_and_those_before_it_stay(redis: Redis) -> None:
    def given() -> Iterator[Entry]:
        yield from entries(3000)
        yield Entry("bad@example.org", {"nam": "x"})

    with pytest.raises(
        UnusableEntry, match=r"entry 3001 \(bad@example.org\): data: has nothing for \{\{name\}\}"
    ) as caught:
        Outbox(redis).send_bulk(campaign(), given())
    assert isinstance(caught.value, ValueError)
    assert caught.value.campaign is not None
    assert caught.value.campaign.enqueued == sum(sent(redis).values()) >= 2000
    assert "complete" not in record(redis)


def test_an_iterable_that_raises_is_told_and_gone_on_with(redis: Redis) -> None:
    def given() -> Iterator[Entry]:
        yield from entries(3000)
        raise RuntimeError("the database is gone")

    outbox = Outbox(redis)
    with pytest.raises(SendBulkInterrupted, match="RuntimeError: the database is gone") as caught:
        outbox.send_bulk(campaign(), given())
    assert caught.value.campaign is not None
    before = caught.value.campaign.enqueued
    receipt = outbox.send_bulk(campaign(), entries(3100))
    assert (receipt.enqueued, receipt.duplicates) == (3100 - before, before)
    assert sent(redis) == everybody(3100)
    assert record(redis)["complete"] == "1"


def test_names_of_data_without_a_placeholder_are_told_once(redis: Redis) -> None:
    more = [Entry(f"user{n}@example.org", {"name": "x", "city": "y", f"n{n % 2}": 1}) for n in range(60)]
    assert Outbox(redis).send_bulk(campaign(), more).unused == ("city", "n0", "n1")


def test_a_campaign_that_has_expired_is_refused(redis: Redis) -> None:
    with pytest.raises(ValueError, match=r"expires: .* is past"):
        Outbox(redis).send_bulk(campaign(expires="2020-01-01T00:00:00+00:00"), entries(1))
    assert redis.keys() == []


@pytest.mark.parametrize("face", ["threads"], indirect=True)
def test_what_is_no_campaign_or_no_entry_is_refused(redis: Redis, face: str) -> None:
    with pytest.raises(TypeError, match=r"campaign: 'x' is no rq_ses\.campaign\.Campaign"):
        Outbox(redis).send_bulk("x", [])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no iterable"):
        Outbox(redis).send_bulk(campaign(), 5)  # type: ignore[arg-type]
    with pytest.raises(UnusableEntry, match=r"entry 1: 'x' is no rq_ses.campaign.Entry"):
        Outbox(redis).send_bulk(campaign(), "x")  # type: ignore[arg-type]


def test_each_partition_has_its_own_entries_jobs_record_and_terms(redis: Redis) -> None:
    outbox = Outbox(redis, partitions="{a},{b},{c}")
    assert outbox.send_bulk(campaign(), entries(1000)).enqueued == 1000
    assert outbox.send_bulk(campaign(), entries(1010)) == CampaignReceipt("spring", 10, 1000)
    total = 0
    for place, prefix in enumerate(("{a}", "{b}", "{c}")):
        ids: Any = redis.lrange(f"{prefix}:queue:{BULK}", 0, -1)
        for job_id in ids:
            assert partition_of(job_id.decode(), 3) == place
            data: Any = redis.hget(f"{prefix}:job:{job_id.decode()}", "data")
            job = bulkjob.read(json.loads(zlib.decompress(data))[2][0])
            assert {partition_of(entry.id, 3) for entry in job.entries} == {place}
            assert redis.exists(f"{prefix}:ses:terms:{job.terms}")
            total += len(job.entries)
        assert redis.hget(f"{prefix}:ses:campaign:spring", "complete") == b"1"
    assert total == 1010


@pytest.mark.parametrize("face", ["threads"], indirect=True)
def test_a_server_that_is_away_ends_the_call_which_can_be_made_again(redis: Redis, face: str) -> None:
    outbox = Outbox("redis://127.0.0.1:1", enqueue_timeout=0.2)
    with pytest.raises(OutboxUnavailable) as caught:
        outbox.send_bulk(campaign(), entries(3))
    assert caught.value.campaign == CampaignReceipt("spring")


@pytest.mark.parametrize("face", ["threads"], indirect=True)
@pytest.mark.parametrize("script", ["_record", "_enqueue"])
def test_a_script_that_breaks_off_leaves_nothing_that_the_next_call_does_not_put_right(
    redis: Redis, face: str, script: str
) -> None:
    def act(number: int) -> None:
        outbox = Outbox(redis)
        outbox.send_bulk(campaign(name="other"), entries(1))
        writing: Any = outbox._bulk._writings[0]
        source = BreakableSource(redis, getattr(writing, script))
        setattr(writing, script, source)
        source.at = number
        with suppress(OutboxUnavailable):
            outbox.send_bulk(campaign(), entries(200))
        outbox.send_bulk(campaign(), entries(210, first=5))
        outbox.send_bulk(campaign(), entries(215))
        assert sent(redis) == everybody(215)
        found = record(redis)
        assert (found["enqueued"], found["complete"]) == ("215", "1")
        noted = [one.split(":")[1] for one in found.get("writing", "").split()]
        assert not any(redis.exists(KEYS.job(job_id)) for job_id in noted), "a job stands, and isn't counted"

    assert each_break(redis, act) > {"_record": 5, "_enqueue": 40}[script]


@pytest.mark.parametrize("face", ["threads"], indirect=True)
def test_a_template_of_jinja2_says_what_it_needs_and_that_workers_render_it(redis: Redis, face: str) -> None:
    text = "Dear {{ name }}{% if city is defined %} of {{ city }}{% endif %}"
    given = campaign(template=Template(subject="For {{ name }}", text=text, engine="jinja2"))
    outbox = Outbox(redis)
    with pytest.raises(UnusableEntry, match=r"has nothing for \{\{name\}\}"):
        outbox.send_bulk(given, [Entry("ann@example.org", {"city": "Wien"})])
    receipt = outbox.send_bulk(given, [Entry("ann@example.org", {"name": "Ann", "city": "Wien", "x": [1]})])
    assert (receipt.enqueued, receipt.unused) == (1, ("x",))
    assert record(redis)["engine"] == "jinja2"
    broken = campaign(name="broken", template=Template(subject="x", text="{% if %}", engine="jinja2"))
    with pytest.raises(ValueError, match="text, line 1: the template doesn't compile"):
        outbox.send_bulk(broken, entries(1))
    assert redis.smembers(KEYS.campaigns) == {b"spring"}
