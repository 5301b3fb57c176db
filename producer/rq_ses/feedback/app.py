"""Take SNS's messages in a web app of one's own: a WSGI and an ASGI app to mount, and what both are made of.

    from rq_ses.feedback.app import asgi_app, wsgi_app

    application = wsgi_app(topics=["arn:aws:sns:eu-central-1:123456789012:ses-events"])

They answer POST at whatever path they are mounted, and GET of /healthz. docs/how-to/feedback.md
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.exceptions import RedisError

from rq_ses.feedback.envelope import BODY_LIMIT
from rq_ses.feedback.receiver import AWAY, Answer, Receiver
from rq_ses.feedback.settings import load_feedback_settings
from rq_ses.feedback.store import Store

__all__ = ["Feedback", "asgi_app", "wsgi_app"]

HEALTH: Final = "/healthz"

THREADS: Final = 4
"""That an ASGI app takes of its loop: others mustn't wait for theirs behind messages from strangers."""

log = logging.getLogger("rq_ses.feedback")

Report = Callable[[Answer], None]

_RAW: Final = "x-amz-sns-rawdelivery"
_LEVELS: Final = {"stored": logging.DEBUG, "repeated": logging.DEBUG, "noted": logging.INFO}
_REASONS: Final = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    413: "Content Too Large", 503: "Service Unavailable",
}  # fmt: skip
_TOO_LARGE: Final = Answer(413, "refused", f"longer than {BODY_LIMIT} bytes: no message of SNS's is")
_CUT: Final = Answer(503, "unchecked", "the request has ended before its end: send it again")
_METHOD: Final = Answer(405, "refused", "SNS posts its messages: use POST")


class Feedback:
    """Takes messages however they come over HTTP; threads may share an object.

    Args:
        receiver: checks and stores them.
        store: where they go, asked for its health.
        report: is told what became of each; None writes it to the log "rq_ses.feedback".
    """

    def __init__(self, receiver: Receiver, store: Store, report: Report | None = None) -> None:
        self._receiver = receiver
        self._store = store
        self._report = report or _log

    @classmethod
    def from_env(
        cls,
        *,
        topics: Iterable[str] | None = None,
        certificates: Iterable[str] | None = None,
        confirm: bool | None = None,
        redis_url: str | None = None,
        connection: Any = None,
        report: Report | None = None,
    ) -> Feedback:
        """Return one by arguments, and by RQ_SES_... where they are None; nothing is connected yet.

        Args:
            topics: ARNs of the topics that are ours.
            certificates: PEM files of SNS's certificates, for hosts without a way to it.
            confirm: whether subscriptions are confirmed by themselves.
            redis_url: of the server of the mails' queue.
            connection: a redis.Redis in place of the URL.
            report: is told what became of each message, in the thread that took it.

        Raises:
            SettingsError: with a line for each setting that is missing or wrong.
        """
        settings = load_feedback_settings(
            feedback_topics=None if topics is None else list(topics),
            feedback_certificates=None if certificates is None else list(certificates),
            feedback_confirm=confirm,
            redis_url=redis_url,
        )
        store = settings.store(connection)
        return cls(settings.receiver(store), store, report)

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Take the body of a POST. `headers` are in small letters; only SNS's own are looked at."""
        raw = headers.get(_RAW, "").strip().lower() == "true"
        answer = _TOO_LARGE if len(body) > BODY_LIMIT else self._receiver.receive(body, raw=raw)
        self._report(answer)
        return answer

    def refuse_long(self) -> Answer:
        """Return the answer to what says that it is too long, which isn't even read."""
        return self.refuse(_TOO_LARGE)

    def refuse_cut(self) -> Answer:
        """Return the answer to what has ended before its end."""
        return self.refuse(_CUT)

    def refuse(self, answer: Answer) -> Answer:
        """Return the answer to what isn't read to its end, once it is reported."""
        self._report(answer)
        return answer

    def health(self) -> Answer:
        """Return whether events can be stored."""
        try:
            self._store.check()
        except (RedisError, OSError):
            return Answer(503, "unstored", AWAY)
        return Answer(200, "noted", "ok")

    def close(self) -> None:
        """Close all connections."""
        self._store.close()


def wsgi_app(feedback: Feedback | None = None, **arguments: Any) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI app. Arguments are those of Feedback.from_env; it raises as that does."""
    found = feedback or Feedback.from_env(**arguments)

    def app(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = _wsgi(found, environ)
        body = f"{answer.said}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(f"{answer.status} {_REASONS[answer.status]}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return app


def _wsgi(feedback: Feedback, environ: Mapping[str, Any]) -> Answer:
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return _looked(feedback, environ.get("PATH_INFO", ""))
    if environ["REQUEST_METHOD"] != "POST":
        return _METHOD
    # Without a length there is no body, unless the server says that its end is told (chunks).
    size = read_length(environ.get("CONTENT_LENGTH"))
    if size is not None and size > BODY_LIMIT:
        return feedback.refuse_long()
    endless = size is None and environ.get("wsgi.input_terminated")
    wanted = BODY_LIMIT + 1 if endless else size or 0
    try:
        body = _read(environ["wsgi.input"], wanted)
    except OSError:
        return feedback.refuse_cut()
    if size is not None and len(body) < size:
        return feedback.refuse_cut()
    return feedback.post(body, {_RAW: environ.get("HTTP_X_AMZ_SNS_RAWDELIVERY", "")})


def read_length(text: str | None) -> int | None:
    """Return what a Content-Length says, None if that is no number; one of very many digits is only large."""
    if not text or not text.isascii() or not text.isdigit():
        return None
    return int(text[:30])


def _read(source: Any, size: int) -> bytes:
    pieces = []
    while size and (piece := source.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _looked(feedback: Feedback, path: str) -> Answer:
    return feedback.health() if path.endswith(HEALTH) else _METHOD


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def asgi_app(feedback: Feedback | None = None, **arguments: Any) -> AsgiApp:
    """Return an ASGI app. Arguments are those of Feedback.from_env; it raises as that does."""
    return AsgiApp(feedback or Feedback.from_env(**arguments))


class AsgiApp:
    """The app: an object, for Starlette takes a function for one that answers its own requests.

    What waits for Redis, or for a certificate, does so in a few threads.
    """

    def __init__(self, feedback: Feedback) -> None:
        self._feedback = feedback
        # One a loop, for tests make a loop for each request.
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ValueError for what comes from no server of HTTP."""
        if scope["type"] == "lifespan":
            await _live(self._feedback, receive, send)
        elif scope["type"] == "http":
            answer = await _asgi(self._feedback, scope, receive, self._aside)
            if answer is not None:
                await _send(answer, scope["method"] == "HEAD", send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            raise ValueError(f"a {scope['type']!r} can't be answered: SNS speaks HTTP")

    async def _aside(self, function: Callable[..., Answer], *given: Any) -> Answer:
        async with self._rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(THREADS)):
            return await asyncio.to_thread(function, *given)


async def _live(feedback: Feedback, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.to_thread(feedback.close)
    await send({"type": "lifespan.shutdown.complete"})


async def _asgi(
    feedback: Feedback, scope: Scope, receive: Receive, aside: Callable[..., Awaitable[Answer]]
) -> Answer | None:
    """Return the answer to a request, None if its client has gone."""
    if scope["method"] in ("GET", "HEAD"):
        return await aside(_looked, feedback, scope["path"])
    if scope["method"] != "POST":
        return _METHOD
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if (read_length(headers.get("content-length")) or 0) > BODY_LIMIT:
        return feedback.refuse_long()
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > BODY_LIMIT:
            return feedback.refuse_long()
        more = message.get("more_body", False)
    return await aside(feedback.post, b"".join(pieces), headers)


async def _send(answer: Answer, bare: bool, send: Send) -> None:
    body = f"{answer.said}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bare else body})


def _log(answer: Answer) -> None:
    event = answer.event
    level = _LEVELS.get(answer.word, logging.WARNING)
    if event is not None and not event.is_known:
        level = logging.WARNING
    about = f"{event.kind} of {answer.job_id or event.message_id}: " if event else ""
    log.log(level, "SNS was answered with %d (%s): %s%s", answer.status, answer.word, about, answer.text)
