"""The simulator on a socket: what HTTP and aiohttp ask for, around the service."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from rq_ses_worker.simulator.service import Reply, Service
from rq_ses_worker.simulator.settings import HOST, PORT
from rq_ses_worker.simulator.web import router
from rq_ses_worker.simulator.web.access import host_name
from rq_ses_worker.simulator.web.request import WebRequest

MAX_BODY: Final = 60 * 1024 * 1024
"""Bytes: more than SES takes in one message, so that its own refusal of 40 MB can be met."""

_STOP_TIMEOUT: Final = 1.0
_BACKLOG: Final = 1024
_ACCEPTING: Final = 5
"""Turns of the loop; accepting takes three."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time, so that closing sends a RST in place of a FIN."""


class Listener:
    """A service bound to one address; `port` 0 is any free one, `url` says which it became.

    `allow_hosts` are names under which its page and records are served to other machines, too.
    """

    def __init__(
        self,
        service: Service,
        host: str = HOST.default,
        port: int = PORT.default,
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
        # Whoever is asked to confirm a subscription reaches this machine by a name, if it has one.
        name = next(iter(sorted(self._allow_hosts)), None)
        self._service.publisher.base_url = f"http://{name}:{port}" if name else self.url

    async def stop(self) -> None:
        """Stop listening and end what is open, waiting about a second for answers under way."""
        self._service.publisher.close()
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
