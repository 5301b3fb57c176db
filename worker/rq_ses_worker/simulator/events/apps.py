"""A request to an app in this process, by WSGI or ASGI, without a socket."""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rq_ses_worker.simulator.events.answer import Answer
from rq_ses_worker.simulator.way import App

_HOST: Final = "testserver"


def call(app: App, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Return what an app answers to a POST; what it raises is raised here."""
    if _is_asgi(app):
        return _without_loop(lambda: asyncio.run(_asgi(app, path, body, headers)))
    return _wsgi(app, path, body, headers)


def _is_asgi(app: App) -> bool:
    called = getattr(app, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(called)


def _without_loop(function: Callable[[], Answer]) -> Answer:
    """Run it where no loop is running: a test may be a coroutine itself."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(function())
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread that waits
            ended.append(exc)

    thread = threading.Thread(target=run, name="ses-events-app")
    thread.start()
    thread.join()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    answer: Answer = ended[0]
    return answer


def _wsgi(app: App, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    route, _, query = path.partition("?")
    told: list[str] = []
    written: list[bytes] = []

    def start_response(status: str, _headers: Any, _exc: Any = None) -> Callable[[bytes], Any]:
        told[:] = [status]
        return written.append

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "QUERY_STRING": query,
        "PATH_INFO": unquote_to_bytes(route).decode("latin-1"),
        "SERVER_NAME": _HOST, "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": _HOST,
        "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }  # fmt: skip
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    parts = app(environ, start_response)
    try:
        answered = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    return Answer(int(told[0][:3]), (b"".join(written) + answered).decode("utf-8", "replace"))


async def _asgi(app: App, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    route, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "POST", "scheme": "http", "root_path": "",
        "path": unquote_to_bytes(route).decode("utf-8", "replace"), "raw_path": route.encode(),
        "query_string": query.encode(),
        "headers": [
            (b"host", _HOST.encode()), (b"content-length", str(len(body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ],
        "client": ("127.0.0.1", 0), "server": (_HOST, 80), "state": {},
    }  # fmt: skip
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    status = next(one["status"] for one in told if one["type"] == "http.response.start")
    parts = [one.get("body", b"") for one in told if one["type"] == "http.response.body"]
    return Answer(status, b"".join(parts).decode("utf-8", "replace"))
