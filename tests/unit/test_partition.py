"""A job's partition is a function of its id, and prefixes that could be taken for another's are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rq_ses import Outbox
from rq_ses.contract import keyed_job_id, new_job_id
from rq_ses.deadletter import DeadLetters
from rq_ses.errors import SettingsError
from rq_ses.keys import Keys, keys_of
from rq_ses.mails import Mails
from rq_ses.partition import partition_of, read_partitions
from rq_ses.server.connection import connect
from rq_ses.server.location import Location
from rq_ses.server.partitions import Partitions
from rq_ses.server.slot import slot_of
from rq_ses.settings.producer import load_producer_settings

TWO = ("{mail0}", "{mail1}")


def test_a_key_meets_the_same_partition_in_every_process_and_build() -> None:
    ids = [keyed_job_id("mail", f"order-{number}") for number in range(6)]
    # Written down once: another function would let a key stand for two mails after an upgrade.
    assert [partition_of(job_id, 4) for job_id in ids] == [2, 0, 0, 2, 1, 3]


def test_mails_without_keys_are_spread_evenly() -> None:
    counts = Counter(partition_of(new_job_id(), 4) for _ in range(4000))
    assert sorted(counts) == [0, 1, 2, 3]
    assert min(counts.values()) > 800


@pytest.mark.parametrize("given", ["{mail0},{mail1}", " {mail0} , {mail1} ", ["{mail0}", "{mail1}"], TWO])
def test_prefixes_are_read_from_text_or_a_list(given: str | list[str]) -> None:
    assert read_partitions(given, "rq") == TWO


@pytest.mark.parametrize("given", ["", " ", [], ()])
def test_none_is_a_queue_without_partitions(given: str | list[str]) -> None:
    assert read_partitions(given, "rq") == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{mail0}", "'{mail0}' is a single prefix: give 2 to 64"),
        (",".join(f"m{number}" for number in range(65)), "has 65 prefixes: give 2 to 64"),
        ("a,b c", "'b c' can't be used: give ASCII letters"),
        ("a,", "'a,' has an empty name: remove the comma"),
        (",", "',' has an empty name: remove the comma"),
        (["{a},{b}"], '\'{a},{b}\' in the list holds a comma: give prefixes as in ["{mail0}", "{mail1}"]'),
        (["a", ""], "'' in the list is an empty name: leave it out"),
        ("a,b,a", "'a' is named twice"),
        ("a,rq", "'rq' is the deployment's own prefix (RQ_KEY_PREFIX)"),
        ("a,a:b", "'a:b' begins with 'a' and a colon"),
        ("a,rq:b", "'rq:b' begins with 'rq' and a colon"),
    ],
)
def test_what_cannot_be_prefixes_is_refused_with_the_remedy(given: str | list[str], words: str) -> None:
    with pytest.raises(ValueError, match="give") as caught:
        read_partitions(given, "rq")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1, 2], "partitions: 1 in the list is no text: give prefixes"),
        (2, "partitions: 2 is neither text nor a list: give prefixes"),
        (None, "partitions: None is neither text nor a list: give prefixes"),
    ],
)
def test_what_is_no_text_is_refused_by_an_outbox_and_by_whoever_reads(given: Any, words: str) -> None:
    for kind in (Outbox, DeadLetters, Mails):
        with pytest.raises(TypeError) as caught:
            kind("redis://127.0.0.1:1/0", partitions=given)
        assert str(caught.value).startswith(words)


def test_a_file_gives_a_list(tmp_path: Path) -> None:
    file = tmp_path / "rq-ses.toml"
    file.write_text('[rq_ses]\npartitions = ["{mail0}", "{mail1}"]\n')
    assert load_producer_settings(config=str(file)).partitions == ",".join(TWO)
    file.write_text("[rq_ses]\npartitions = [1, 2]\n")
    with pytest.raises(SettingsError, match="RQ_SES_PARTITIONS: 1 in the list is no text: give prefixes"):
        load_producer_settings(config=str(file))


def test_the_setting_names_itself_in_its_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_PARTITIONS", "{mail0},{mail0}")
    with pytest.raises(SettingsError) as caught:
        load_producer_settings()
    [problem] = caught.value.problems
    assert problem.startswith("RQ_SES_PARTITIONS: '{mail0}' is named twice")


def test_each_partition_has_a_client_under_its_prefix() -> None:
    server = Location.given("redis://127.0.0.1:1/0", None, to="a test")
    parts = Partitions.at(server, TWO, socket_timeout=1, connect_timeout=1)
    assert parts.prefixes == TWO
    assert [keys_of(client).prefix for client in parts] == list(TWO)
    assert keys_of(parts.own) == Keys.default()
    assert parts.under("{mail1}") is parts.clients[1]
    job_id = new_job_id()
    assert parts.of(job_id) is parts.clients[partition_of(job_id, 2)]


def test_in_a_cluster_each_partition_is_with_the_owner_of_its_slot() -> None:
    url = "redis+cluster://127.0.0.1:1,127.0.0.1:2"
    for server in (
        Location.given(url, None, to="a test"),
        Location.given(connect(url, socket_timeout=1, connect_timeout=1), None, to="a test"),
    ):
        parts = Partitions.at(server, TWO, socket_timeout=1, connect_timeout=1)
        owners = [client.connection_pool.connection_kwargs["owner"] for client in parts]
        assert [owner.slot for owner in owners] == [slot_of(prefix) for prefix in TWO]
        assert [keys_of(client).prefix for client in parts] == list(TWO)


def test_without_partitions_there_is_one_client() -> None:
    server = Location.given("redis://127.0.0.1:1/0", None, to="a test")
    parts = Partitions.at(server, (), socket_timeout=1, connect_timeout=1)
    assert (len(parts), parts.prefixes) == (1, ())
    assert parts.of(new_job_id()) is parts.own
