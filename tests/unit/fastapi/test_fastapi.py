"""`rq_ses.fastapi`: one AsyncOutbox for as long as an app runs, found by whoever answers."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from rq_ses import Message, OutboxUnavailable, SettingsError
from rq_ses.aio import AsyncOutbox
from rq_ses.fastapi import AppOutbox, app_outbox, lifespan, unavailable

NOWHERE = {"redis_url": "redis://127.0.0.1:1/0", "enqueue_timeout": 0.01}
MESSAGE = Message(sender="shop@example.com", to="anna@example.com", subject="Hi", text="Hello")


async def of_a_dependency(outbox: AppOutbox) -> int:
    return id(outbox)


def shop(**overrides: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(**{**NOWHERE, **overrides}))

    @app.get("/queue")
    async def queue(outbox: AppOutbox) -> str:
        return outbox.queue

    @app.get("/same")
    async def same(outbox: AppOutbox, other: Annotated[int, Depends(of_a_dependency)]) -> bool:
        return id(outbox) == other

    @app.get("/send")
    async def send(outbox: AppOutbox) -> str:
        return (await outbox.send(MESSAGE)).job_id

    @app.websocket("/socket")
    async def socket(socket: WebSocket, outbox: AppOutbox) -> None:
        await socket.accept()
        await socket.send_text(outbox.queue)
        await socket.close()

    return app


def test_routes_dependencies_and_web_sockets_find_the_same_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_QUEUE", "of-the-environment")
    with TestClient(shop()) as client:
        assert client.get("/queue").json() == "of-the-environment"
        assert client.get("/same").json() is True
        with client.websocket_connect("/socket") as socket:
            assert socket.receive_text() == "of-the-environment"
    with TestClient(shop(queue="of-the-app")) as client:
        assert client.get("/queue").json() == "of-the-app"


def test_an_app_inside_another_finds_it_too() -> None:
    app = FastAPI(lifespan=lifespan(**NOWHERE, queue="of-the-outer"))
    app.mount("/shop", shop())
    with TestClient(app) as client:
        assert client.get("/shop/queue").json() == "of-the-outer"


def test_starlette_takes_the_same_lifespan() -> None:
    async def queue(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.rq_ses.queue)

    app = Starlette(routes=[Route("/", queue)], lifespan=lifespan(**NOWHERE, queue="of-the-app"))
    with TestClient(app) as client:
        assert client.get("/").text == "of-the-app"


def test_it_is_closed_when_the_app_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    async def aclose(outbox: AsyncOutbox) -> None:
        closed.append(outbox.queue)

    monkeypatch.setattr(AsyncOutbox, "aclose", aclose)
    with TestClient(shop(queue="of-the-app")) as client:
        client.get("/queue")
        assert closed == []
    assert closed == ["of-the-app"]


def test_a_wrong_setting_stops_the_start() -> None:
    with (
        pytest.raises(SettingsError, match="RQ_SES_ENQUEUE_TIMEOUT"),
        TestClient(shop(enqueue_timeout="soon")),
    ):
        pass


def test_without_the_lifespan_it_says_what_is_missing() -> None:
    client = TestClient(shop())
    with pytest.raises(RuntimeError, match="enter its TestClient with `with`"):
        client.get("/queue")


def test_a_test_puts_another_in_its_place() -> None:
    class Noted:
        queue = "of-the-test"

    app = shop()
    app.dependency_overrides[app_outbox] = Noted
    assert TestClient(app).get("/queue").json() == "of-the-test"


def test_an_app_answers_503_where_it_asks_for_that_and_only_there() -> None:
    app = shop()
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/send").status_code == 500
    app = shop()
    app.add_exception_handler(OutboxUnavailable, unavailable)
    with TestClient(app) as client:
        answer = client.get("/send")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json() == {"detail": "mail can't be taken right now: try again"}
