"""Nodes of a cluster die, are restarted, and hand our slot on under load: nothing is lost, all go on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rq_ses import Outbox
from rq_ses.gate import read_gate
from rq_ses.keys import Keys
from rq_ses.server.connection import connect
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.programs.processes import Process, run, running
from support.programs.producer import DURABLE_TIMEOUT, Producer, Written, producing
from support.servers.cluster import PREFIX, Cluster
from support.waiting import wait_for

LAG = 1.0
"""Seconds before a kill in which a mail must have been acknowledged to be lost with it, on this machine."""

GO_ON = 1.0
"""Seconds after the cluster's own failover within which everybody has gone on."""


@dataclass
class Load:
    """Producers, one of them durable, and a worker, all at work."""

    plain: Producer
    durable: Producer
    worker: Process
    nodes: Cluster
    ses: SimulatorServer

    @property
    def written(self) -> list[Written]:
        return self.plain.written + self.durable.written

    def goes_on(self, count: int = 20) -> None:
        """Wait until each producer has written so many more mails."""
        now = time.monotonic()
        for producer in (self.plain, self.durable):
            wait_for(lambda producer=producer: producer.wrote_since(now, count), within=40, every=0.05)  # type: ignore[misc]

    def stop(self) -> list[Written]:
        """Let the producers end, and what they have written be sent; return that."""
        self.plain.stop()
        self.durable.stop()
        written = self.written
        assert self.plain.errors + self.durable.errors == []
        wait_for(lambda: set(self.statuses(written)) <= {"finished", "gone"}, within=60, every=0.05)
        assert self.worker.running, self.worker.output
        return written

    def statuses(self, written: Iterable[Written]) -> list[str]:
        with self.nodes.writer().pipeline(transaction=False) as pipe:
            for one in written:
                pipe.hget(f"{PREFIX}:job:{one.job_id}", "status")
            return [(status or b"gone").decode() for status in pipe.execute()]

    def sends(self) -> Counter[str]:
        """Return how often SES took each address's mail."""
        return Counter(address for mail in self.ses.mails for address in mail.recipients)


@contextmanager
def load(nodes: Cluster, ses: SimulatorServer, env: dict[str, str], logs: Path) -> Iterator[Load]:
    options = ["worker", "--concurrency", "8", "--lease", "4"]
    with (
        running(options, env, logs / "worker.log") as worker,
        producing(nodes.url, env, logs / "plain.log") as plain,
        producing(nodes.url, env, logs / "durable.log", durable=True) as durable,
    ):
        found = Load(plain, durable, worker, nodes, ses)
        found.goes_on()
        yield found


@dataclass
class Kill:
    """One kill of the owner: when, and who went on so many seconds after the nodes had a new one."""

    at: float
    took: float
    lags: dict[str, float]

    @property
    def kept_up(self) -> bool:
        return all(lag < GO_ON for lag in self.lags.values())


def kill_the_owner(nodes: Cluster, at_work: Load) -> Kill:
    """Kill the owner, wait until all have gone on, and bring it back."""
    finished = f"{PREFIX}:finished:mail"
    former = nodes.owner()
    killed = time.monotonic()
    took = nodes.fail_over()
    successor: Any = nodes.writer()
    before = successor.zcard(finished)
    wait_for(lambda: successor.zcard(finished) > before)
    lags = {"worker": time.monotonic() - killed - took}
    at_work.goes_on(4)
    for name, producer in (("plain", at_work.plain), ("durable", at_work.durable)):
        # What was acknowledged before there was a new owner was by the dead one.
        first = min(one.at for one in producer.written if one.at > killed + took / 2)
        lags[name] = first - killed - took
    # Without a replica nothing is confirmed: a durable call waits for both, and then says so.
    lags["durable"] -= 2 * DURABLE_TIMEOUT
    nodes.restart(former)
    wait_for(nodes.whole, within=30, every=0.05)
    at_work.goes_on()
    return Kill(killed, took, lags)


def test_the_kill_of_the_owner_loses_nothing_confirmed_and_everybody_goes_on(
    nodes: Cluster, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    kills: list[Kill] = []
    with load(nodes, ses, env, tmp_path) as at_work:
        # Who is late on a machine that is busy with other things is not so each time.
        while not kills or not (kills[-1].kept_up or len(kills) == 3):
            kills.append(kill_the_owner(nodes, at_work))
        written = at_work.stop()
    statuses = dict(zip((one.job_id for one in written), at_work.statuses(written), strict=True))
    lost = [one for one in written if statuses[one.job_id] == "gone"]
    confirmed = [one for one in at_work.durable.written if one.confirmed]
    sends = at_work.sends()
    print(  # noqa: T201 (pytest shows it with -s)
        f"{len(written)} mails, {len(confirmed)} confirmed; {kills}; "
        f"lost {len(lost)}, sent twice {sum(count > 1 for count in sends.values())}"
    )
    assert confirmed
    assert not {one.job_id for one in lost} & {one.job_id for one in confirmed}
    assert all(any(abs(one.at - kill.at) < LAG for kill in kills) for one in lost)
    assert all(sends[one.address] for one in written if statuses[one.job_id] == "finished")
    assert kills[-1].kept_up
    assert run(["audit"], env).returncode == 0


def test_the_kill_of_the_gates_owner_stops_all_partitions_and_loses_nothing(
    nodes: Cluster, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    four = ["{mail0}", "{mail1}", "{mail2}", "{mail3}"]
    env = {**env, "RQ_SES_PARTITIONS": ",".join(four), "RQ_SES_MAX_SEND_RATE": "100"}
    outbox = Outbox(nodes.url, partitions=four, durable_replicas=1)
    outbox.send_many([mail(f"user{n}@example.com") for n in range(300)], durable=True)
    former = nodes.owner()
    with running(["worker", "--concurrency", "4", "--lease", "4"], env, tmp_path / "log") as worker:
        wait_for(lambda: len(ses.mails) > 50)
        took = nodes.fail_over()
        sent = len(ses.mails)
        assert sent < 300
        wait_for(lambda: len({one.recipients for one in ses.mails}) == 300, within=60)
        assert worker.stop() == 0, worker.output
    # What was sent and not yet with a replica may be sent again.
    assert len(ses.mails) <= 300 + 100 * LAG, (took, sent)
    with connect(nodes.url, socket_timeout=5, connect_timeout=5, keys=Keys(PREFIX)) as gate:
        assert read_gate(gate, "default", "us-east-1").claimed > 0
    nodes.restart(former)


def assert_each_sent_once(at_work: Load, written: list[Written], env: dict[str, str]) -> None:
    assert set(at_work.statuses(written)) == {"finished"}
    assert all(at_work.sends()[one.address] == 1 for one in written)
    assert run(["audit"], env).returncode == 0


def test_a_rolling_restart_of_all_nodes_loses_and_doubles_nothing(
    nodes: Cluster, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    with load(nodes, ses, env, tmp_path) as at_work:
        nodes.hand_over()
        at_work.goes_on()
        primaries = nodes.primaries()
        replicas = [node for node in nodes.nodes if node not in primaries]
        for together in (replicas, *([node] for node in primaries)):
            for node in together:
                nodes.restart(node)
            wait_for(nodes.whole, within=30, every=0.05)
        at_work.goes_on()
        written = at_work.stop()
    assert_each_sent_once(at_work, written, env)


def test_a_slot_that_is_moved_key_by_key_and_back_strands_nothing(
    nodes: Cluster, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    with load(nodes, ses, env, tmp_path) as at_work:
        source = nodes.owner()
        target = next(node for node in nodes.primaries() if node is not source)
        for here, there in ((source, target), (target, source)):
            nodes.begin_move(here, there)
            # For a moment part of the keys is there: the time in which scripts could be broken off.
            assert nodes.move_keys(here, there, most=40) == 40
            time.sleep(0.3)
            nodes.move_keys(here, there)
            nodes.end_move(there)
            assert nodes.owner() is there
            at_work.goes_on()
        written = at_work.stop()
    assert_each_sent_once(at_work, written, env)


def test_valkeys_own_migration_of_the_slot_strands_nothing(
    nodes: Cluster, ses: SimulatorServer, env: dict[str, str], tmp_path: Path
) -> None:
    with load(nodes, ses, env, tmp_path) as at_work:
        source = nodes.owner()
        target = next(node for node in nodes.primaries() if node is not source)
        for here, there in ((source, target), (target, source)):
            nodes.migrate(here, there)
            assert nodes.owner() is there
            at_work.goes_on()
        written = at_work.stop()
    assert_each_sent_once(at_work, written, env)
