"""Which node of a cluster owns our slot, from what its nodes tell."""

from __future__ import annotations

from typing import Any

import pytest
from redis import exceptions as errors
from redis.connection import SSLConnection

from rq_ses.plan import carry_out
from rq_ses.server.clusterowner import Ask, ClusterOwner, Connect, read_cluster_url
from rq_ses.server.connection import connect, own_client
from rq_ses.server.hosts import Address
from rq_ses.server.slot import is_tagged, slot_of

ONE, TWO, THREE = ("one", 7001), ("two", 7002), ("three", 7003)


def shard(first: int, last: int, *nodes: tuple[Any, int]) -> list[Any]:
    """Return a row of CLUSTER SLOTS: the primary first."""
    return [first, last, *([host, port, b"id", []] for host, port in nodes)]


class Nodes:
    """Answers CLUSTER SLOTS, node by node, or raises what is set for it; notes who was asked."""

    def __init__(self, answers: dict[Address, Any], dead: Address | None = None) -> None:
        self.answers = answers
        self.dead = dead
        self.asked: list[Address] = []
        self.tried: list[Address] = []

    def __call__(self, step: Ask | Connect) -> Any:
        if isinstance(step, Connect):
            self.tried.append(step.owner)
            if step.owner == self.dead:
                raise ConnectionRefusedError
            return None
        node = step.node
        self.asked.append(node)
        answer = self.answers.get(node, errors.ConnectionError("refused"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def owner_by(owner: ClusterOwner, nodes: Nodes) -> Address:
    """Return the owner that is connected to."""
    carry_out(owner.connecting(), nodes)
    return nodes.tried[-1]


WHOLE = [shard(0, 4000, (b"one", 7001)), shard(4001, 16383, (b"two", 7002), (b"three", 7003))]


@pytest.mark.parametrize(
    ("prefix", "tagged"),
    [
        ("{mail}", True),
        ("app:{mail}", True),
        ("rq", False),
        ("{}{mail}", False),
        ("{mail", False),
        ("}{a", False),
    ],
)
def test_a_prefix_with_a_hash_tag_puts_all_keys_into_one_slot(prefix: str, tagged: bool) -> None:
    assert is_tagged(prefix) == tagged
    slots = {slot_of(f"{prefix}:{key}") for key in ("job:a", "queue:mail", "ses:leases:mail")}
    assert (slots == {slot_of(prefix)}) == tagged


def test_the_slot_is_redis_own() -> None:
    assert slot_of("{mail}:queue:mail") == 4247


def test_the_owner_is_found_and_all_nodes_that_are_told_of_are_asked_later() -> None:
    owner = ClusterOwner([ONE], "{mail}:")
    nodes = Nodes({ONE: WHOLE})
    assert owner_by(owner, nodes) == TWO
    nodes.answers = {THREE: [shard(0, 16383, (b"three", 7003))]}
    assert owner_by(owner, nodes) == THREE
    assert nodes.asked == [ONE, ONE, TWO, THREE]
    # Who has answered last is asked first.
    assert owner_by(owner, nodes) == THREE
    assert nodes.asked[4:] == [THREE]


@pytest.mark.parametrize("host", [None, b"", b"?", "", "?"])
def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(host: Any) -> None:
    owner = ClusterOwner([("seed", 1)], "{mail}")
    assert owner_by(owner, Nodes({("seed", 1): [shard(0, 16383, (host, 7001))]})) == ("seed", 7001)


def test_what_a_node_told_in_vain_is_asked_of_another_and_who_is_said_to_own_it_first() -> None:
    owner = ClusterOwner([ONE, TWO, THREE], "{mail}")
    nodes = Nodes(dict.fromkeys((ONE, TWO, THREE), WHOLE))
    owner.pass_over()
    owner_by(owner, nodes)
    owner.ask_first(THREE)
    owner_by(owner, nodes)
    assert nodes.asked == [TWO, THREE]


def test_during_a_failover_all_nodes_are_asked_for_they_learn_of_it_one_by_one() -> None:
    owner = ClusterOwner([ONE, TWO, THREE], "{mail}")
    dead = ("dead", 7000)
    answers = {ONE: dead, TWO: dead, THREE: THREE}
    nodes = Nodes({node: [shard(0, 16383, told)] for node, told in answers.items()}, dead)
    assert owner_by(owner, nodes) == THREE
    assert nodes.tried == [dead, THREE]
    nodes.answers = {node: [shard(0, 16383, dead)] for node in answers}
    with pytest.raises(ConnectionRefusedError):
        owner_by(owner, nodes)


def test_a_cluster_that_does_not_answer_is_an_outage_and_one_that_refuses_is_not() -> None:
    owner = ClusterOwner([ONE, TWO], "{mail}")
    with pytest.raises(errors.ConnectionError, match=r"who owns slot 4247 \(one:7001: refused; two:7002"):
        owner_by(owner, Nodes({}))
    with pytest.raises(errors.ConnectionError, match="no node owns slot 4247"):
        owner_by(owner, Nodes({TWO: [shard(0, 100, (b"one", 7001))]}))
    for refusal in (errors.NoPermissionError("no"), errors.AuthenticationError("no")):
        with pytest.raises(type(refusal)):
            owner_by(owner, Nodes({ONE: refusal}))
    with pytest.raises(errors.ConnectionError, match="who owns slot"):
        owner_by(owner, Nodes({ONE: errors.TimeoutError("slow")}))


def test_a_cluster_url_names_nodes_and_how_each_is_spoken_to() -> None:
    found = read_cluster_url("rediss+cluster://app:p%40w@one,[::1]:7001/2?ssl_ca_certs=/ca.pem")
    assert found.nodes == (("one", 6379), ("::1", 7001))
    assert found.node_url == "rediss://app:p%40w@placeholder/2?ssl_ca_certs=/ca.pem"
    assert read_cluster_url("redis+cluster://one").node_url == "redis://placeholder/0"


@pytest.mark.parametrize(
    "url", ["redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a/x", "redis+cluster://a:0"]
)
def test_what_is_no_cluster_url_is_refused_without_a_word_of_it(url: str) -> None:
    for text in (url, url.replace("://", "://:s3cr3t@", 1)):
        with pytest.raises(ValueError) as caught:
            read_cluster_url(text)
        assert "s3cr3t" not in str(caught.value)


def test_a_client_of_a_cluster_is_not_connected_keeps_its_options_and_hides_its_password() -> None:
    url = "rediss+cluster://:s3cr3t@one:7001,two?max_connections=3"
    with connect(url, socket_timeout=3, connect_timeout=2) as client:
        for one in (client, own_client(client, socket_timeout=3, connect_timeout=2)):
            pool = one.connection_pool
            assert issubclass(pool.connection_class, SSLConnection)
            assert pool.max_connections == 3
            assert pool.connection_kwargs["password"] == "s3cr3t"
            assert pool.connection_kwargs["owner"].tagged is False
            assert "s3cr3t" not in repr(one) + repr(pool) + repr(pool.make_connection())


def test_without_any_node_there_is_no_connection() -> None:
    with (
        connect("redis+cluster://127.0.0.1:1,127.0.0.1:2", socket_timeout=1, connect_timeout=1) as client,
        pytest.raises(errors.ConnectionError, match=r"127\.0\.0\.1:1: .*; 127\.0\.0\.1:2: "),
    ):
        client.ping()
