"""The simulator in a thread of this process, for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.api.faults import Faults
from rq_ses_worker.simulator.events.publisher import Publisher
from rq_ses_worker.simulator.listener import Listener
from rq_ses_worker.simulator.options import Credential, Options
from rq_ses_worker.simulator.records.inbox import Request
from rq_ses_worker.simulator.records.mail import Mail
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.settings import DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY, HOST, REGION

_START_TIMEOUT: Final = 10.0
"""Seconds for the thread to listen, and for its loop to take a call."""


class SimulatorServer:
    """A simulator in a thread of this process, for tests: a context manager with its records at hand.

    It listens on a free port of 127.0.0.1; `options` are those of `Options`. `clock` gives the epoch seconds
    the simulator goes by.
    """

    def __init__(
        self,
        access_key_id: str = DEFAULT_ACCESS_KEY_ID,
        secret_access_key: str = DEFAULT_SECRET_ACCESS_KEY,
        session_token: str | None = None,
        region: str = REGION.default,
        *,
        host: str = HOST.default,
        port: int = 0,
        clock: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        options.setdefault("credentials", (Credential(access_key_id, secret_access_key, session_token),))
        settings = Options(region=region, **options)
        self._service = Service(settings, clock=clock) if clock else Service(settings)
        self._listener = Listener(self._service, host, port)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: OSError | OverflowError | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._listener.url

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first; slow ones stand here before they are answered."""
        return self._service.inbox.requests()

    @property
    def attempts(self) -> list[Request]:
        """Every request to send a mail so far, oldest first: without those that ask for the account."""
        return [request for request in self.requests if request.attempt]

    @property
    def mails(self) -> list[Mail]:
        """Every accepted mail so far, oldest first."""
        return self._service.inbox.mails()

    def mail(self, message_id: str) -> Mail | None:
        """Return the mail with this message id, while it is kept."""
        return self._service.inbox.mail(message_id)

    @property
    def faults(self) -> Faults:
        """The scripts: `faults.script("anna@example.com", ["429x2", "503"])`."""
        return self._service.faults

    @property
    def publisher(self) -> Publisher:
        """What tells of the mails: `publisher.change({"targets": [URL]})`, `publisher.log.all()`."""
        return self._service.publisher

    def add_template(
        self, name: str, subject: str | None = None, text: str | None = None, html: str | None = None
    ) -> None:
        """Store a template, in place of one with its name. Raises ValueError when SES would refuse it."""
        try:
            self._service.add_template(name, subject, text, html)
        except Refused as exc:
            raise ValueError(str(exc)) from exc

    def clear(self) -> None:
        """Forget records, attempts, scripts, templates, events and what was sent."""
        if self._loop is None or not self._loop.is_running():
            self._service.clear()
        else:
            asyncio.run_coroutine_threadsafe(self._clear(), self._loop).result(_START_TIMEOUT)

    def start(self) -> None:
        """Start serving. Raises OSError when the port can't be had, or the certificate not be written."""
        if self._thread is not None:
            raise RuntimeError("this simulator was started before: make a new one")
        self._service.publisher.topic.write_certificate()
        self._thread = threading.Thread(target=self._run, name="ses-simulator", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT):
            raise TimeoutError("the simulator did not start")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop serving and wait for the thread's end."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _clear(self) -> None:
        self._service.clear()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            await self._listener.start()
        except (OSError, OverflowError) as exc:
            self._failure = exc
            return
        finally:
            self._started.set()
        await self._stopping.wait()
        await self._listener.stop()
