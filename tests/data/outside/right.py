"""A program outside, which uses every name that rq_ses gives to programs; nothing of it is ever run."""

from __future__ import annotations

import email.message
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from flask import Flask
from pydantic import ValidationError

from rq_ses import (
    Attachment,
    DurabilityUnconfirmed,
    IdempotencyConflict,
    Message,
    Outbox,
    OutboxUnavailable,
    ProducerSettings,
    RawMessage,
    Receipt,
    RqSesError,
    SettingsError,
    Submission,
    explain,
)
from rq_ses.aio import AsyncOutbox
from rq_ses.django import EmailBackend, LocmemBackend
from rq_ses.fastapi import AppOutbox, app_outbox, lifespan
from rq_ses.fastapi import unavailable as fastapi_unavailable
from rq_ses.flask import RqSes
from rq_ses.flask import unavailable as flask_unavailable

# Messages


def names() -> list[str]:
    return ["ben@example.org"]


def read_message(path: Path) -> Message:
    file = Attachment(filename=path.name, content=path.read_bytes(), content_type="application/pdf")
    message = Message(
        sender="Shop <shop@example.com>",
        to="anna@example.org",
        cc=names(),
        bcc=("carl@example.org",),
        reply_to="help@example.com",
        subject="Your invoice",
        text="Hello",
        html=None,
        headers={"X-Shop": "1"},
        tags={"kind": "invoice"},
        configuration_set="shop",
        unsubscribe="https://example.com/unsubscribe?4711",
        attachments=[file],
    )
    recipients: tuple[str, ...] = message.recipients
    subject: str = message.subject
    return message.model_copy(update={"to": recipients, "subject": subject})


def read_mime(path: Path) -> RawMessage:
    raw = RawMessage(
        data=path.read_bytes(),
        to=["anna@example.org"],
        tags={"kind": "signed"},
        feedback_to="bounces@example.com",
        list_management={"contact_list": "readers", "topic": "news"},
        tenant="shop",
    )
    size: int = len(raw.data)
    sender: str | None = raw.sender
    return raw if size and sender is None else raw.model_copy(update={"sender": None})


def of_the_library(mail: email.message.EmailMessage) -> Message | RawMessage:
    return Message.from_email(mail, recipients=names(), configuration_overrides={})


# An Outbox


def enqueue(message: Message | RawMessage) -> Receipt | tuple[str | float, ...]:
    outbox = Outbox("redis://127.0.0.1:6379/0", "mail", enqueue_timeout=1.5, partitions=["{a}", "{b}"])
    try:
        return outbox.send(
            message,
            key="invoice-4711",
            at=datetime.now(UTC) + timedelta(hours=1),
            expires=timedelta(days=1),
            on_unknown="hold",
            priority="high",
            durable=True,
            on_conflict="keep",
        )
    except OutboxUnavailable as exc:
        return (*exc.job_ids, exc.waited, exc.reason, exc.remedy)
    except IdempotencyConflict as exc:
        return exc.key, exc.job_id
    except DurabilityUnconfirmed as exc:
        return tuple(receipt.job_id for receipt in exc.receipts)


def enqueue_many(messages: Iterator[Message | RawMessage]) -> tuple[list[Receipt], list[str]]:
    outbox = Outbox.from_env(queue="news")
    news = (Submission(message, key=f"news-{n}", priority="bulk") for n, message in enumerate(messages))
    problems: list[str] = []
    receipts: list[Receipt] = []
    try:
        for result in outbox.try_send_many(news):
            if isinstance(result, Receipt):
                receipts.append(result)
            else:
                problems.append(str(result))
        receipts += outbox.send_many(messages)
    except RqSesError as exc:
        receipts += exc.receipts
    return receipts, problems


def settings(fields: dict[str, Any]) -> ProducerSettings | list[str]:
    try:
        Message(**fields)
        return ProducerSettings()
    except ValidationError as exc:
        return explain(exc)
    except SettingsError as exc:
        return list(exc.problems)


async def enqueue_async(message: Message | RawMessage) -> list[Receipt]:
    async with AsyncOutbox.from_env(enqueue_timeout=1.0) as outbox:
        first: Receipt = await outbox.send(message, key="invoice-4711", priority="high", delay=5.0)
        others: list[Receipt] = await outbox.send_many([Submission(message, key="k"), message])
        results = await outbox.try_send_many([message], on_conflict="keep")
        moment: float = await outbox.server_time()
    late = moment > 0 and not (first.duplicate or first.conflict)
    return [first, *others, *(result for result in results if late and isinstance(result, Receipt))]


# Frameworks

mail = RqSes()


def django_backends() -> int:
    taken: int = EmailBackend(fail_silently=True, queue="mail", priority="bulk").send_messages([])
    return taken + LocmemBackend().send_messages([])


def flask_app() -> Flask:
    app = Flask(__name__)
    mail.init_app(app)
    app.register_error_handler(OutboxUnavailable, flask_unavailable)

    def signup() -> dict[str, str]:
        message = Message(sender="a@example.com", to="b@example.com", subject="Hi", text="Hello")
        receipt = mail.send(message, key="welcome", priority="high", on_conflict="keep")
        more = mail.send_many([Submission(message, key="more")], durable=True)
        outbox: Outbox = mail.outbox
        return {"job": receipt.job_id, "more": more[0].job_id, "queue": outbox.queue}

    app.add_url_rule("/signup", view_func=signup)
    return app


def fastapi_app() -> FastAPI:
    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncGenerator[dict[str, Any], None]:
        async with lifespan(queue="mail")(app) as state:
            outbox: AsyncOutbox = state["rq_ses"]
            yield {**state, "queue": outbox.queue}

    app = FastAPI(lifespan=own)
    plain = FastAPI(lifespan=lifespan())
    app.mount("/plain", plain)
    app.add_exception_handler(OutboxUnavailable, fastapi_unavailable)
    app.dependency_overrides[app_outbox] = lambda: None

    async def signup(outbox: AppOutbox) -> str:
        message = Message(sender="a@example.com", to="b@example.com", subject="Hi", text="Hello")
        return (await outbox.send(message, key="welcome")).job_id

    app.add_api_route("/signup", signup, methods=["POST"])
    return app
