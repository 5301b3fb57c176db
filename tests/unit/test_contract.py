from __future__ import annotations

from importlib import import_module

from rq.job import validate_job_id
from rq.serializers import JSONSerializer, resolve_serializer

import rq_ses
from rq_ses import contract


def test_the_public_names_are_these() -> None:
    assert sorted(rq_ses.__all__) == [
        "Attachment",
        "DurabilityUnconfirmed",
        "IdempotencyConflict",
        "Message",
        "Outbox",
        "OutboxUnavailable",
        "ProducerSettings",
        "RawMessage",
        "Receipt",
        "RqSesError",
        "SettingsError",
        "Submission",
        "explain",
    ]


def test_the_queue_names_a_function_that_exists() -> None:
    module, _, name = contract.JOB_FUNCTION.rpartition(".")
    assert callable(getattr(import_module(module), name))


def test_what_is_written_as_json_is_what_rqs_serializer_of_that_name_reads() -> None:
    assert resolve_serializer(contract.SERIALIZER) is JSONSerializer


def test_job_ids_are_ones_that_rq_takes() -> None:
    ids = {contract.new_job_id() for _ in range(100)}
    ids |= {contract.keyed_job_id("mail", key) for key in ("a", "b", "ä\n:/", "x" * 512)}
    assert len(ids) == 104
    for job_id in ids:
        validate_job_id(job_id)


def test_a_key_is_the_same_job_on_one_queue_only() -> None:
    assert contract.keyed_job_id("mail", "k") == contract.keyed_job_id("mail", "k")
    assert contract.keyed_job_id("mail", "k") != contract.keyed_job_id("bulk", "k")


def test_a_description_is_bounded_and_inert() -> None:
    assert contract.description(["b@example.com"], "Hi") == "b@example.com → Hi"
    assert contract.description(["b@example.com", "c@example.com"], "Hi") == "b@example.com (+1) → Hi"
    odd = contract.description(["b@example.com"], "<img src=x onerror=alert(1)>\r\n" + "y" * 500)
    assert "<" not in odd
    assert "\n" not in odd
    assert len(odd) == contract.DESCRIPTION_LIMIT
