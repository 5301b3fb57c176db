"""What a bulk job and stored terms hold: read as they were written, and nothing else is read."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from rq.serializers import JSONSerializer

from rq_ses.campaign import Campaign, Entry, Template, bulkjob
from rq_ses.campaign.names import BUCKET, bulk_job_id, entry_id, indexed
from rq_ses.contract import JOB_ID

CAMPAIGN = Campaign(
    name="spring", sender="shop@example.com", template=Template(subject="Hi {{name}}", text="Dear {{name}}"),
    on_unknown="hold", expires="2030-01-01T00:00:00+00:00",
)  # fmt: skip
ENTRIES = (
    Entry("ann@example.org", {"name": "Ann"}),
    Entry("Bob <bob@example.org>", {"n": [1, None, {"a": True}]}, {"X-A": "1"}, {"kind": "vip"}, "bob"),
)
TERMS = bulkjob.encode_terms(CAMPAIGN)


def job() -> bulkjob.BulkJob:
    queued = [bulkjob.QueuedEntry.of(one, entry_id("spring", one.identity)) for one in ENTRIES]
    return bulkjob.BulkJob("spring", TERMS.hash, tuple(queued))


def argument() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(bulkjob.payload(job()))
    return read


def test_ids_are_those_of_jobs_and_differ_between_campaigns_entries_and_jobs() -> None:
    ids = {
        entry_id("a", "1"),
        entry_id("b", "1"),
        entry_id("a", "2"),
        bulk_job_id("a", 1),
        bulk_job_id("a", 2),
    }
    assert len(ids) == 5
    assert all(JOB_ID.fullmatch(one.encode()) for one in ids)
    assert entry_id("a", "1") == entry_id("a", "1")
    bucket, field = indexed(entry_id("a", "1"))
    assert len(bucket) == BUCKET
    assert entry_id("a", "1").startswith(bucket + field.hex()[1:])


def test_a_job_is_read_as_it_was_written_by_rqs_own_serializer_too() -> None:
    data = bulkjob.encode(job(), bulkjob.options_of(CAMPAIGN))
    function, instance, arguments, options = JSONSerializer.loads(zlib.decompress(data))
    assert (function, instance) == ("rq_ses_worker.job.send", None)
    assert options == {"on_unknown": "hold", "expires": 1893456000.0}
    assert bulkjob.is_bulk(arguments[0])
    assert bulkjob.read(arguments[0]) == job()
    assert not bulkjob.is_bulk({"to": ["ann@example.org"]})


def test_a_part_has_some_of_the_entries() -> None:
    part = job().part(job().entries[1:])
    assert [one.to for one in part.entries] == ["Bob <bob@example.org>"]
    assert part.terms == TERMS.hash


@pytest.mark.parametrize(
    "change",
    [
        {"entries": []},
        {"entries": [["ann@example.org", {}, None, None, "x"]]},
        {"entries": [["ann", {}, None, None, "0" * 32]]},
        {"entries": [["ann@example.org", {}, {"To": "x"}, None, "0" * 32]]},
        {"entries": [["ann@example.org", {}]]},
        {"entries": [["ann@example.org", {}, None, None, "0" * 32]] * 51},
        {"entries": 5},
        {"campaign": "a/b"},
        {"terms": "x"},
        {"more": 1},
    ],
)
def test_what_is_no_bulk_job_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        bulkjob.read({**argument(), **change})


def test_terms_are_stored_without_the_name_so_that_campaigns_share_them() -> None:
    other = bulkjob.encode_terms(CAMPAIGN.model_copy(update={"name": "summer"}))
    assert other == TERMS
    assert bulkjob.encode_terms(CAMPAIGN.model_copy(update={"on_unknown": None})).hash != TERMS.hash
    assert bulkjob.read_terms("spring", TERMS.hash, TERMS.data) == CAMPAIGN


def test_terms_that_are_not_those_of_their_hash_are_refused() -> None:
    other = bulkjob.encode_terms(CAMPAIGN.model_copy(update={"sender": "other@example.com"}))
    with pytest.raises(ValueError, match="has another hash"):
        bulkjob.read_terms("spring", TERMS.hash, other.data)
