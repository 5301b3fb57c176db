"""The apps that are mounted: how much of a request is read, and what is answered, by WSGI and by ASGI."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from rq_ses.errors import SettingsError
from rq_ses.feedback.app import THREADS, Feedback, asgi_app, wsgi_app
from rq_ses.feedback.envelope import BODY_LIMIT
from rq_ses.feedback.receiver import Answer
from rq_ses_worker.simulator.events.event import Sent, event
from rq_ses_worker.simulator.events.signer import Signer

from .conftest import ARN, World

MAIL = Sent(message_id="0100-m", tags={"rq-ses-job": "job1"})
Ask = Callable[..., tuple[int, str]]


class Health:
    """Stands in the place of a store, for its health."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False

    def check(self) -> None:
        if "redis" in self.world.away:
            raise ConnectionLost("refused")

    def close(self) -> None:
        self.closed = True


def by_wsgi(feedback: Feedback) -> Ask:
    app = wsgi_app(feedback)

    def ask(
        method: str,
        body: bytes = b"",
        path: str = "/",
        *,
        length: str | None = None,
        raw: str = "",
        **more: Any,
    ) -> tuple[int, str]:
        said: list[Any] = []
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)) if length is None else length,
            "HTTP_X_AMZ_SNS_RAWDELIVERY": raw, **more,
        }  # fmt: skip
        answer = app(environ, lambda *told: said.append(told))
        return int(said[0][0][:3]), b"".join(answer).decode()

    return ask


def by_asgi(feedback: Feedback) -> Ask:
    app = asgi_app(feedback)

    def ask(
        method: str, body: bytes = b"", path: str = "/", *, length: str | None = None, raw: str = "", **_: Any
    ) -> tuple[int, str]:
        pieces: Iterable[bytes] = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]
        waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        waiting.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[Any] = []

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"X-Amz-Sns-Rawdelivery", raw.encode())]
        if length is not None:
            headers.append((b"content-length", length.encode()))
        asyncio.run(app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send))
        ask.left = len(waiting)  # type: ignore[attr-defined]
        return sent[0]["status"], sent[1]["body"].decode()

    return ask


@pytest.fixture(params=[by_wsgi, by_asgi])
def ask(request: pytest.FixtureRequest, world: World, told: list[Answer]) -> Ask:
    return request.param(Feedback(world.receiver, Health(world), told.append))  # type: ignore[no-any-return, arg-type]


@pytest.fixture
def told() -> list[Answer]:
    return []


def test_a_notification_is_taken_at_any_path_and_reported(ask: Ask, world: World, told: list[Answer]) -> None:
    body = world.topic.notification(event("Bounce", MAIL))
    assert ask("POST", body, "/hooks/ses") == (200, "stored\n")
    assert [(answer.word, answer.job_id) for answer in told] == [("stored", "job1")]


def test_who_asks_learns_nothing_of_our_hosts_and_no_token(
    ask: Ask, world: World, told: list[Answer]
) -> None:
    world.away.add("aws")
    assert ask("POST", world.topic.notification("x")) == (
        503,
        "it can't be checked or stored now: send it again\n",
    )
    assert "no way out" in told[0].text


def test_raw_delivery_is_known_by_its_header(ask: Ask, world: World) -> None:
    status, text = ask("POST", b"anything", raw="true")
    assert status == 503
    assert "RawMessageDelivery" in text
    assert ask("POST", world.topic.notification("x"), raw="false")[0] == 200


def test_what_is_too_long_is_refused(ask: Ask, told: list[Answer]) -> None:
    assert ask("POST", b" " * (BODY_LIMIT + 1))[0] == 413
    assert [answer.word for answer in told] == ["refused"]
    assert ask("POST", b" " * BODY_LIMIT)[0] == 400


def test_what_says_that_it_is_too_long_is_not_even_read(world: World) -> None:
    wsgi = by_wsgi(Feedback(world.receiver, Health(world)))  # type: ignore[arg-type]
    assert wsgi("POST", length=str(10**12), **{"wsgi.input": None})[0] == 413
    asgi: Any = by_asgi(Feedback(world.receiver, Health(world)))  # type: ignore[arg-type]
    assert asgi("POST", b"x" * 300_000, length=str(10**12))[0] == 413
    assert asgi.left == 6
    for ask in (wsgi, asgi):
        assert ask("POST", b"x", length="9" * 5000, **{"wsgi.input": None})[0] == 413
    assert asgi("POST", b"x" * 4_000_000)[0] == 413
    assert asgi.left > 40


def test_a_body_that_ends_too_soon_is_to_come_again(world: World) -> None:
    ask = by_wsgi(Feedback(world.receiver, Health(world)))  # type: ignore[arg-type]
    assert ask("POST", b"{", length="100") == (503, "it can't be checked or stored now: send it again\n")


def test_a_body_without_a_length_is_read_where_the_server_knows_its_end(world: World) -> None:
    ask = by_wsgi(Feedback(world.receiver, Health(world)))  # type: ignore[arg-type]
    body = world.topic.notification("x")
    assert ask("POST", body, length="", **{"wsgi.input_terminated": True})[0] == 200
    assert ask("POST", body, length="")[0] == 400
    assert ask("POST", b" " * 2_000_000, length="", **{"wsgi.input_terminated": True})[0] == 413


def test_health_is_that_of_redis(ask: Ask, world: World) -> None:
    assert ask("GET", path="/ses/healthz") == (200, "ok\n")
    assert ask("HEAD", path="/healthz") == (200, "")
    world.away.add("redis")
    assert ask("GET", path="/healthz") == (503, "Redis does not answer\n")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_snss(ask: Ask, method: str) -> None:
    assert ask(method) == (405, "SNS posts its messages: use POST\n")


def test_a_client_that_leaves_an_asgi_app_is_not_answered(world: World) -> None:
    app, sent = asgi_app(Feedback(world.receiver, Health(world))), []  # type: ignore[arg-type, var-annotated]

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send))
    assert sent == []


def test_an_asgi_app_closes_its_connections_when_its_server_ends(world: World) -> None:
    health = Health(world)
    app, sent = asgi_app(Feedback(world.receiver, health)), []  # type: ignore[arg-type, var-annotated]

    async def receive() -> Any:
        return {"type": "lifespan"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert health.closed
    asyncio.run(app({"type": "websocket"}, receive, send))
    assert sent[2:] == ["websocket.close"]
    with pytest.raises(ValueError, match="SNS speaks HTTP"):
        asyncio.run(app({"type": "smoke"}, receive, send))


def test_the_log_says_what_somebody_should_know(world: World, caplog: pytest.LogCaptureFixture) -> None:
    ask = by_wsgi(Feedback(world.receiver, Health(world)))  # type: ignore[arg-type]
    caplog.set_level(logging.INFO, "rq_ses.feedback")
    ask("POST", world.topic.notification(event("Bounce", MAIL)))
    assert caplog.messages == []
    ask("POST", world.topic.notification(event("Teleported", MAIL)))
    ask("POST", world.topic.unsubscribe_confirmation())
    ask("POST", world.topic.notification("nothing"))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert caplog.messages[0] == "SNS was answered with 200 (stored): Teleported of job1: stored"


def test_settings_come_from_arguments_and_else_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, signer: Signer
) -> None:
    with pytest.raises(SettingsError, match="RQ_SES_FEEDBACK_TOPICS: is not set"):
        wsgi_app()
    monkeypatch.setenv("RQ_SES_FEEDBACK_TOPICS", f"{ARN},{ARN}2")
    file = tmp_path / signer.name
    file.write_bytes(signer.certificate)
    assert callable(wsgi_app(certificates=[str(file)]))
    assert callable(asgi_app())
    with pytest.raises(SettingsError, match="names no topic"):
        wsgi_app(topics=[])
    with pytest.raises(SettingsError, match=r"RQ_SES_FEEDBACK_TOPICS: 'x' is not the ARN of a topic"):
        asgi_app(topics=["x"])
    with pytest.raises(SettingsError, match=r"RQ_SES_FEEDBACK_CERTIFICATES: .*can't be read"):
        wsgi_app(certificates=["/nowhere.pem"])
    assert json.dumps(sorted(Feedback.from_env(topics=[ARN])._receiver._topics)) == json.dumps([ARN])


def test_fastapi_takes_it_for_an_app_at_the_very_path(world: World) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.add_route("/hooks/ses", asgi_app(Feedback(world.receiver, Health(world))), ["POST"])  # type: ignore[arg-type]
    with TestClient(app, follow_redirects=False) as client:
        answer = client.post("/hooks/ses", content=world.topic.notification(event("Bounce", MAIL)))
    assert (answer.status_code, answer.text) == (200, "stored\n")


def test_an_asgi_app_serves_one_loop_after_another(world: World) -> None:
    going_on = threading.Event()

    class Waiting(Feedback):
        def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
            assert going_on.wait(20)
            return super().post(body, headers)

    app = asgi_app(Waiting(world.receiver, Health(world)))  # type: ignore[arg-type]
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": world.topic.notification("x")}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async def many() -> None:
        asked = ({"type": "http", "method": "POST", "path": "/", "headers": []} for _ in range(THREADS + 2))
        asyncio.get_running_loop().call_later(0.05, going_on.set)
        await asyncio.gather(*(app(one, receive, send) for one in asked))

    for _ in range(2):
        going_on.clear()
        asyncio.run(many())
    assert statuses == [200] * 2 * (THREADS + 2)
