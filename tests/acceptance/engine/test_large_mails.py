"""Mails that take longer to go out than an answer may: they are sent once, and a stopping worker waits."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses.message.attachment import Attachment
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import fetch, mail, status
from support.programs.processes import running, worker_environment
from support.waiting import wait_for

RATE = 3_000_000.0
"""Bytes a second that the slow line carries."""


class SlowSes:
    """Takes each mail slowly, over one connection after the other, and accepts it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._thread = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> SlowSes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                length = 0
                post = line.startswith(b"POST")
                while (header := reader.readline()) not in (b"\r\n", b""):
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                if post:
                    self.begun.set()
                while length > 0:
                    length -= len(reader.read(min(length, 65_536)))
                    time.sleep(65_536 / RATE)
                self.accepted += post
                body = b'{"MessageId":"m-1"}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def slow() -> Iterator[SlowSes]:
    with SlowSes() as server:
        yield server


def test_a_large_mail_on_a_slow_line_is_sent_once_and_a_stopping_worker_waits_for_it(
    redis: Redis, redis_url: str, slow: SlowSes, tmp_path: Path
) -> None:
    attachment = Attachment(filename="a.bin", content=b"\0" * 6_000_000)
    job_id = Outbox(redis).send(mail(attachments=[attachment])).job_id
    env = worker_environment(redis_url, slow.url, RQ_SES_TIMEOUT="0.5", RQ_SES_LEASE="2")
    with running(["worker"], env, tmp_path / "log") as worker:
        assert slow.begun.wait(20)
        began = time.monotonic()
        assert worker.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began > 0.5
    assert status(redis, job_id) == "finished"
    assert fetch(redis, job_id).get_meta()["attempts"] == 1
    assert slow.accepted == 1


def test_a_worker_reads_past_interim_answers(
    redis: Redis, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    outbox = Outbox(redis)
    ids = [outbox.send(mail(to=f"hintsx2.{n}@faults.example")).job_id for n in range(20)]
    with running(["worker"], worker_env, tmp_path / "log") as worker:
        wait_for(lambda: {status(redis, job_id) for job_id in ids} <= {"finished", "failed"})
        assert worker.stop() == 0
    assert {status(redis, job_id) for job_id in ids} == {"finished"}
    assert sorted(fetch(redis, job_id).return_value()["message_id"] for job_id in ids) == sorted(
        accepted.message_id for accepted in ses.mails
    )
    assert "pool is full" not in (tmp_path / "log").read_text()
