"""A message handed to an app in this process: by WSGI and by ASGI, in a loop or not, and by a URL."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from rq_ses_worker.simulator.events.account import AccountTopic
from rq_ses_worker.simulator.events.notification import Notification
from rq_ses_worker.simulator.events.plan import Occurrence
from rq_ses_worker.simulator.events.signer import Signer
from rq_ses_worker.simulator.events.target import post
from rq_ses_worker.simulator.service import Service
from support.ses.simulated import send


@pytest.fixture
def bounce(service: Service, signer: Signer) -> Callable[..., Notification]:
    """Make the message of a bounce."""
    send(service)
    topic = AccountTopic("eu-west-1")
    topic._made = signer
    told = Occurrence(kind="Bounce", recipients=("anna@example.com",))
    return lambda **how: topic.notification(
        service.inbox.mails()[0], told, **{"form": "eventType", "version": "2", **how}
    )


def test_a_wsgi_app_gets_what_sns_would_post(bounce: Callable[..., Notification]) -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("202 Accepted", [("Content-Type", "text/plain")])
        return [b"tak", b"en"]

    made = bounce()
    answer = made.to(app, "/ses/events%20here?a=b")
    assert (answer.status, answer.text, answer.taken) == (202, "taken", True)
    assert seen["body"] == made.body
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["QUERY_STRING"]) == (
        "POST", "/ses/events here", "a=b",
    )  # fmt: skip
    assert seen["CONTENT_TYPE"] == "text/plain; charset=UTF-8"
    assert seen["CONTENT_LENGTH"] == str(len(made.body))
    assert seen["HTTP_X_AMZ_SNS_MESSAGE_TYPE"] == "Notification"
    assert seen["HTTP_X_AMZ_SNS_TOPIC_ARN"] == "arn:aws:sns:eu-west-1:123456789012:ses-events"
    told = json.loads(made.body)
    assert seen["HTTP_X_AMZ_SNS_MESSAGE_ID"] == told["MessageId"] == made.message_id
    assert json.loads(told["Message"]) == made.event
    assert made.kind == "Bounce"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    assert (await receive())["type"] == "http.disconnect"
    headers = dict(scope["headers"])
    text = f"{scope['method']} {scope['path']} {len(message['body'])} {headers[b'x-amz-sns-message-type']!r}"
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"!"})


class AsgiApp:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)


@pytest.mark.parametrize("app", [asgi, AsgiApp()])
@pytest.mark.parametrize("in_a_loop", [False, True])
def test_an_asgi_app_gets_it_too_also_from_a_test_that_is_a_coroutine(
    bounce: Callable[..., Notification], app: Any, in_a_loop: bool
) -> None:
    made = bounce()

    async def test() -> Any:
        return made.to(app, "/events")

    answer = asyncio.run(test()) if in_a_loop else made.to(app, "/events")
    assert answer.text == f"POST /events {len(made.body)} b'Notification'!"
    assert (answer.status, answer.taken, answer.again) == (503, False, True)


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_what_an_app_raises_is_raised(bounce: Callable[..., Notification], in_a_loop: bool) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError("of the app's")

    async def test() -> Any:
        return bounce().to(app)

    with pytest.raises(LookupError, match="of the app's"):
        asyncio.run(test()) if in_a_loop else bounce().to(app)


def test_raw_delivery_is_said_in_a_header(bounce: Callable[..., Notification]) -> None:
    made = bounce(raw=True)
    assert made.headers["x-amz-sns-rawdelivery"] == "true"
    assert json.loads(made.body) == made.event


def test_a_url_that_nobody_answers_is_told_in_words(bounce: Callable[..., Notification]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        answer = post(url, b"", {}, patience=0.01)
        assert (answer.status, answer.text) == (None, "nothing came within 0.01 s")
    answer = bounce().to(url)
    assert (answer.status, answer.text) == (None, os.strerror(111).lower())
