"""Mistakes that a type checker finds, one a line: each line that ends in a comment `wrong`, and no other."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from rq_ses import Attachment, Message, Outbox, RawMessage, Receipt, Submission
from rq_ses.aio import AsyncOutbox
from rq_ses.django import EmailBackend
from rq_ses.fastapi import AppOutbox, lifespan
from rq_ses.flask import RqSes
from rq_ses.flask import RqSess as Misspelt  # wrong

MESSAGE = Message(sender="a@example.com", to="b@example.com", subject="Hi", text="Hello")
Message(sender="a@example.com", to=7, subject="Hi", text="Hello")  # wrong
Message(sender="a@example.com", to="b@example.com", text="Hello")  # wrong
Message(sender="a@example.com", to="b@example.com", subject="Hi", txt="Hello")  # wrong
Attachment(filename="a.txt", content="text")  # wrong
RawMessage(data="From: …", to="b@example.com")  # wrong
RawMessage(data=Path("mail.eml").read_bytes())  # wrong
MESSAGE.recipients.append("c@example.com")  # wrong

OUTBOX = Outbox("redis://127.0.0.1:6379/0")
OUTBOX.send("Hello")  # wrong
OUTBOX.send(MESSAGE, priority="urgent")  # wrong
OUTBOX.send(MESSAGE, on_conflict="drop")  # wrong
OUTBOX.send(MESSAGE, "key")  # wrong
OUTBOX.send(MESSAGE, kee="key")  # wrong
OUTBOX.send(MESSAGE, delay="5 s")  # wrong
OUTBOX.send(MESSAGE).id  # wrong
OUTBOX.send_many(MESSAGE)  # wrong
Outbox(redis_url=6379)  # wrong
Submission(MESSAGE, priority="urgent")  # wrong
for result in OUTBOX.try_send_many([MESSAGE]):
    print(result.job_id)  # wrong

EmailBackend(True)  # wrong
EmailBackend().send_messages(7)  # wrong

MAIL = RqSes(Flask(__name__))
MAIL.send(MESSAGE, prio="high")  # wrong
MAIL.send_many([MESSAGE], key="key")  # wrong
RqSes("app")  # wrong


async def enqueue(outbox: AsyncOutbox, of_app: AppOutbox) -> Receipt:
    forgotten: Receipt = outbox.send(MESSAGE)  # wrong
    print(forgotten)
    await outbox.send(MESSAGE, priority="urgent")  # wrong
    await of_app.sent(MESSAGE)  # wrong
    return await outbox.send_many([MESSAGE])  # wrong


print(enqueue, lifespan())
