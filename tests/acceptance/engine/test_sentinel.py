"""The primary dies under load: producers and workers find the new one by themselves."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Worker
from rq.command import send_shutdown_command

from rq_ses import DurabilityUnconfirmed, Outbox, Receipt, RqSesError
from rq_ses_worker.simulator.server import SimulatorServer
from support.faces import FACES, Awaited
from support.mails.accounting import Accounting
from support.mails.mail import mail, status
from support.programs.processes import run, running, worker_environment
from support.servers.sentinel import Group, group
from support.servers.valkey import client, valkey
from support.waiting import wait_for

LAG = 1.0
"""Seconds before the kill in which a mail must have been acknowledged to be lost with it, on this machine."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Group]:
    with group(tmp_path / "servers") as running_group:
        yield running_group


@pytest.fixture
def strict_servers(tmp_path: Path) -> Iterator[Group]:
    with group(tmp_path / "servers", appendfsync="always") as running_group:
        yield running_group


class Producers:
    """Threads that enqueue one mail after the other, by either face, and note when each was acknowledged."""

    def __init__(self, url: str, books: Accounting, *, threads: int = 4, **options: object) -> None:
        self.acknowledged: dict[str, float] = {}
        self.doubtful: set[str] = set()
        self.errors: list[Exception] = []
        self._books = books
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._durable = "durable_replicas" in options
        self._faces: list[Any] = [face(url, enqueue_timeout=30, **options) for face in FACES.values()]
        both = itertools.islice(itertools.cycle(self._faces), threads)
        self._threads = [threading.Thread(target=self._work, args=(outbox,)) for outbox in both]

    def _work(self, outbox: Any) -> None:
        while not self._stop.wait(0.002):
            with self._lock:
                address = self._books.address("slow-0.02")
            try:
                receipt = outbox.send(mail(address), durable=self._durable)
            except DurabilityUnconfirmed as exc:
                [receipt] = exc.receipts
                self._note(receipt, address, confirmed=False)
            except RqSesError as exc:
                self.errors.append(exc)
                return
            else:
                self._note(receipt, address, confirmed=True)

    def _note(self, receipt: Receipt, address: str, *, confirmed: bool) -> None:
        with self._lock:
            self._books.add(receipt.job_id, address)
            if confirmed:
                self.acknowledged[receipt.job_id] = time.monotonic()
            else:
                self.doubtful.add(receipt.job_id)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
            for face in self._faces:
                if isinstance(face, Awaited):
                    face.close()

    def more(self, count: int) -> None:
        """Wait until so many more mails were acknowledged."""
        enough = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= enough or self.errors, within=40)


def test_workers_and_producers_outlive_the_kill_of_the_primary(
    servers: Group, ses: SimulatorServer, tmp_path: Path
) -> None:
    env = worker_environment(servers.url, ses.url)
    options = ["worker", "--concurrency", "8", "--lease", "3"]
    with (
        running([*options, "--name", "one"], env, tmp_path / "one") as one,
        running([*options, "--name", "two"], env, tmp_path / "two") as two,
        client(servers.second) as successor,
    ):
        books = Accounting(successor, ses)
        producers = Producers(servers.url, books)
        with producers.at_work():
            producers.more(300)
            servers.kill_primary()
            killed = time.monotonic()
            producers.more(300)
            away = time.monotonic() - killed
        assert producers.errors == []
        assert servers.failed_over()
        known = [job_id for job_id in books.addresses if status(successor, job_id) != "gone"]
        wait_for(lambda: books.ended(known), within=60)

        found = books.read()
        lost = found.having("gone")
        assert found.having("finished") | lost == set(books.addresses)
        assert all(killed - LAG < producers.acknowledged[job_id] < killed + LAG for job_id in lost)
        unsent = {job_id for job_id in lost if not found.accepted[job_id]}
        # Whatever was being sent, or was not yet settled on the survivor, when the primary died.
        assert found.second_sends <= 1.25 * 2 * 8 + len(lost)
        print(  # noqa: T201 (pytest shows it with -s)
            f"{len(books.addresses)} mails; {len(lost)} lost with the primary, {len(unsent)} of them unsent, "
            f"{found.second_sends} second sends; 300 more were acknowledged within {away:.1f} s of the kill"
        )

        assert one.running
        assert two.running
        # RQ's registration, and RQ's commands through pub/sub, have moved too.
        wait_for(lambda: {w.name for w in Worker.all(connection=successor)} == {"one", "two"})
        wait_for(lambda: b"rq:pubsub:one" in successor.pubsub_channels("*"))
        send_shutdown_command(successor, "one")
        wait_for(lambda: not one.running)
        assert one.stop() == 0
        assert two.stop() == 0


def test_what_a_replica_confirmed_is_never_lost_by_the_failover(
    strict_servers: Group, ses: SimulatorServer, tmp_path: Path
) -> None:
    servers = strict_servers
    env = worker_environment(servers.url, ses.url)
    with (
        running(["worker", "--lease", "3"], env, tmp_path / "log"),
        client(servers.second) as successor,
    ):
        books = Accounting(successor, ses)
        producers = Producers(servers.url, books, durable_replicas=1, durable_timeout=0.5)
        with producers.at_work():
            producers.more(200)
            servers.kill_primary()
            wait_for(servers.failed_over)
            # There is no replica now: mails go on, and nobody says that they are safe.
            wait_for(lambda: len(producers.doubtful) >= 20, within=40)
            with valkey(tmp_path / "servers" / "first", port=servers.first.port):
                # The Sentinels make a replica of the former primary.
                producers.more(50)
                assert producers.errors == []
        confirmed = set(producers.acknowledged)
        assert all(status(successor, job_id) != "gone" for job_id in confirmed)
        wait_for(lambda: books.ended(confirmed), within=60)
        found = books.read()
        assert confirmed <= found.having("finished")
        assert all(found.accepted[job_id] for job_id in confirmed)


def test_a_replica_that_lags_loses_what_was_acknowledged_and_durable_calls_say_so(
    strict_servers: Group,
) -> None:
    servers = strict_servers
    plain = Outbox(servers.url, enqueue_timeout=30)
    durable = Outbox(servers.url, enqueue_timeout=30, durable_replicas=1, durable_timeout=0.3)
    safe = durable.send(mail(), durable=True).job_id
    servers.second._process.send_signal(signal.SIGSTOP)
    try:
        # More than the network's buffers take in the replica's place.
        large = [mail(text=base64.b64encode(os.urandom(300_000)).decode()) for _ in range(120)]
        acknowledged = [receipt.job_id for receipt in plain.send_many(large)]
        with pytest.raises(DurabilityUnconfirmed, match="0 of 1 replicas have it") as caught:
            durable.send(mail(), durable=True)
        servers.kill_primary()
    finally:
        servers.second._process.send_signal(signal.SIGCONT)
    wait_for(servers.failed_over)
    with client(servers.second) as successor:
        lost = [job_id for job_id in acknowledged if status(successor, job_id) == "gone"]
        print(f"{len(lost)} of {len(acknowledged)} acknowledged mails lost")  # noqa: T201
        assert lost
        assert status(successor, caught.value.receipts[0].job_id) == "gone"
        assert status(successor, safe) == "queued"


def test_a_planned_switch_of_the_primary_stops_nobody(
    servers: Group, ses: SimulatorServer, tmp_path: Path
) -> None:
    """The former primary lives on, as a replica that refuses writes."""
    env = worker_environment(servers.url, ses.url)
    with running(["worker"], env, tmp_path / "log") as worker, client(servers.second) as successor:
        books = Accounting(successor, ses)
        producers = Producers(servers.url, books)
        with producers.at_work():
            producers.more(100)
            servers.switch()
            wait_for(servers.failed_over)
            wait_for(servers.succeeded)
            before = set(producers.acknowledged)
            producers.more(100)
        assert producers.errors == []
        after = set(producers.acknowledged) - before
        wait_for(lambda: books.ended(after), within=60)
        assert worker.running
        assert worker.stop() == 0


def test_a_burst_and_an_audit_find_the_primary_through_sentinels(
    servers: Group, ses: SimulatorServer
) -> None:
    env = worker_environment(servers.url, ses.url)
    one = ["send", "--from", "a@example.com", "--to", "b@example.com", "--subject", "s", "--text", "t"]
    sent = run([*one, "--durable"], {**env, "RQ_SES_DURABLE_REPLICAS": "1"})
    assert sent.returncode == 0, sent.stderr
    assert run(["worker", "--burst"], env).returncode == 0
    assert run(["audit"], env).returncode == 0
    with Redis(port=servers.first.port) as primary:
        assert status(primary, sent.stdout.strip()) == "finished"
