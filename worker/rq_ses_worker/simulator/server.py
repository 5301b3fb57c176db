"""The simulator on a socket: in a process of its own, or in a thread of a test."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from rq_ses_worker.simulator.api.faults import Faults
from rq_ses_worker.simulator.options import (
    DEFAULT_ACCESS_KEY_ID,
    DEFAULT_REGION,
    DEFAULT_SECRET_ACCESS_KEY,
    Credential,
    Options,
)
from rq_ses_worker.simulator.records.inbox import Mail, Request
from rq_ses_worker.simulator.service import Reply, Service
from rq_ses_worker.simulator.web import router
from rq_ses_worker.simulator.web.access import host_name
from rq_ses_worker.simulator.web.request import WebRequest

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 4579
MAX_BODY: Final = 60 * 1024 * 1024
"""Bytes: more than SES takes in one message, so that its own refusal of 40 MB can be met."""

_START_TIMEOUT: Final = 10.0
_STOP_TIMEOUT: Final = 1.0
_BACKLOG: Final = 1024
_ACCEPTING: Final = 5
"""Turns of the loop; accepting takes three."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Listener:
    """A service bound to one address; `port` 0 is any free one, `url` says which it became.

    `allow_hosts` are names under which its page and records are served to other machines, too.
    """

    def __init__(
        self,
        service: Service,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        allow_hosts: Iterable[str] = (),
    ) -> None:
        self._service = service
        self._allow_hosts = frozenset(map(host_name, allow_hosts))
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve. Raises OSError when the address can't be had."""
        server = web.Server(
            self._handle,
            request_factory=_request_factory,
            access_log=None,
            logger=_logger(),
            auto_decompress=False,
            keepalive_timeout=75.0,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_STOP_TIMEOUT)
        await self._runner.setup()
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(server, self._host, self._port, backlog=_BACKLOG)
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening and end what is open, waiting about a second for answers under way."""
        if self._runner is None or self._server is None:
            return
        # A connection takes some turns of the loop to be accepted. One that has begun when the server is
        # closed would be left open (asyncio forgets it), and its client would wait for ever.
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            loop.remove_reader(listening.fileno())
        for _ in range(_ACCEPTING):
            await asyncio.sleep(0)
        self._server.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arrival = self._service.arrival()
        target = _target(request)
        if router.serves(request.method, target.partition(b"?")[0]):
            return await self._respond(request, target)
        body = await _body(request)
        if body is None:
            reply = self._service.too_large(request.method, target, arrival)
        else:
            reply = self._service.handle(request.method, target, request.raw_headers, body, arrival)
        if reply.hints:
            await _interim(request, b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n")
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.hang_up:
            _hang_up(request, reply)
        response = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        if body is None:
            response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest, target: bytes) -> web.StreamResponse:
        small = (request.content_length or 0) <= router.MAX_BODY
        body = await _body(request) if small else None
        if body is None or len(body) > router.MAX_BODY:
            refusal = web.Response(status=413, text="too large\n")
            refusal.force_close()
            return refusal
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        asked = WebRequest(request.method, target, headers, request.remote or "", body)
        response = router.respond(self._service, asked, self._allow_hosts)
        return web.Response(status=response.status, body=response.body, headers=response.headers)


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
        region: str = DEFAULT_REGION,
        *,
        host: str = DEFAULT_HOST,
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

    @property
    def faults(self) -> Faults:
        """The scripts: `faults.script("anna@example.com", ["429x2", "503"])`."""
        return self._service.faults

    def clear(self) -> None:
        """Forget records, attempts, scripts and what was sent."""
        if self._loop is None or not self._loop.is_running():
            self._service.clear()
        else:
            asyncio.run_coroutine_threadsafe(self._clear(), self._loop).result(_START_TIMEOUT)

    def start(self) -> None:
        """Start serving. Raises OSError when the port can't be had."""
        if self._thread is not None:
            raise RuntimeError("this simulator was started before: make a new one")
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


def _request_factory(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=MAX_BODY
    )


def _target(request: web.BaseRequest) -> bytes:
    target = request.raw_path.encode("utf-8", "surrogateescape")
    if not target.startswith(b"/") and b"://" in target:
        # A client that takes us for its proxy sends the whole URL; it signed the path alone.
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    return target


async def _body(request: web.BaseRequest) -> bytes | None:
    """Return the body, or None when it is larger than MAX_BODY."""
    if (request.content_length or 0) > MAX_BODY:
        return None
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await _interim(request, b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None


async def _interim(request: web.BaseRequest, head: bytes) -> None:
    await request.writer.write(head)
    request.writer.output_size = 0  # aiohttp's own: the answer proper hasn't begun


def _hang_up(request: web.BaseRequest, reply: Reply) -> None:
    transport = request.transport
    if transport is None:
        return
    if reply.hang_up == "reset":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _logger() -> logging.Logger:
    logger = logging.getLogger("rq_ses_worker.simulator.http")
    if not logger.filters:
        logger.addFilter(_is_our_fault)
    return logger


def _is_our_fault(record: logging.LogRecord) -> bool:
    # Clients that leave are nobody's fault. What makes a request malformed can be its Authorization header,
    # and aiohttp logs the line it trips over.
    exc = record.exc_info[1] if record.exc_info else None
    return not isinstance(exc, HttpProcessingError | ConnectionError | web.RequestPayloadError)
