"""An SMTP ingress in this process, with a stand-in for the outbox behind it, and raw clients of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

from rq_ses import OutboxUnavailable, RawMessage, Receipt, contract
from rq_ses.outbox.submission import Submission
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.smtp.counts import Counts
from rq_ses_worker.smtp.ingress import Ingress

PATIENCE: Final = 20.0


class OutboxStandin:
    """Keeps what it is given, each key once; can be away, and can wait before it answers."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.away = False
        self.raises: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()

    @property
    def messages(self) -> list[RawMessage]:
        return [one.message for one in self.submissions if isinstance(one.message, RawMessage)]

    async def send(self, message: RawMessage, *, key: str, priority: Any, **_: Any) -> Receipt:
        [receipt] = await self.send_many([Submission(message, key, priority=priority)])
        return receipt

    async def send_many(self, messages: Iterable[Submission], **_: Any) -> list[Receipt]:
        given = list(messages)
        self.asked.set()
        while not self.may_answer.is_set():
            await asyncio.sleep(0.005)
        if self.away:
            raise OutboxUnavailable((), 2.0, "secret-host is away")
        if self.raises:
            raise self.raises
        known = {one.key for one in self.submissions}
        self.submissions += [one for one in given if one.key not in known]
        return [Receipt(contract.keyed_job_id("mail", one.key or ""), one.key in known) for one in given]


class Running:
    """An ingress that runs in a thread."""

    def __init__(self, ingress: Ingress, outbox: OutboxStandin, counts: Counts) -> None:
        self.ingress = ingress
        self.outbox = outbox
        self.counts = counts
        self.loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="ingress")
        self._listens = threading.Event()

    @property
    def port(self) -> int:
        return self.ingress.port

    def start(self) -> None:
        self._thread.start()
        assert self._listens.wait(PATIENCE)

    def tell_to_stop(self) -> None:
        assert self._stop
        self.loop.call_soon_threadsafe(self._stop.set)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.tell_to_stop()
            self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            serving = asyncio.create_task(self.ingress.serve(self._stop))
            while not (self.counts.ready or serving.done()):
                await asyncio.sleep(0.001)
            self._listens.set()
            await serving

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(serve())


@contextmanager
def ingress(**settings: Any) -> Iterator[Running]:
    """Run one on a free port of loopback until the block is left; settings by their names without `smtp_`."""
    ours = {"smtp_listen": "127.0.0.1:0", "preflight": "off", **settings}
    outbox, counts = OutboxStandin(), Counts()
    running = Running(Ingress(SmtpSettings(**ours), outbox, counts), outbox, counts)
    running.start()
    try:
        yield running
    finally:
        outbox.may_answer.set()
        running.stop()


class Raw:
    """A client that sends exactly what it is told to."""

    def __init__(self, port: int, *, greeted: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._lines = self.socket.makefile("rb")
        if greeted:
            assert self.reply().startswith("220 rq-ses ")
            assert self.say(b"EHLO client").startswith("250 ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self.socket.close()

    def reply(self) -> str:
        """Return the last line of a reply; "" where the server has hung up."""
        while True:
            line = self._lines.readline()
            if line[3:4] != b"-":
                return line.decode("ascii").rstrip("\r\n")

    def say(self, line: bytes) -> str:
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def envelope(self, *recipients: bytes, sender: bytes = b"ann@example.com") -> None:
        assert self.say(b"MAIL FROM:<" + sender + b">").startswith("250")
        for recipient in recipients or (b"ben@example.org",):
            assert self.say(b"RCPT TO:<" + recipient + b">").startswith("250")

    def data(self, content: bytes) -> str:
        """Give a mail's bytes as they are, dots included, and the end behind them."""
        assert self.say(b"DATA").startswith("354")
        self.socket.sendall(content + b".\r\n")
        return self.reply()
