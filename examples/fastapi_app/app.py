"""An API that sends one welcome mail to whoever signs up, however often it is called.

RQ_SES_REDIS_URL=redis://127.0.0.1:6379/0 uvicorn --app-dir examples/fastapi_app app:app
"""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ValidationError

from rq_ses import Message, OutboxUnavailable, explain
from rq_ses.fastapi import AppOutbox, lifespan, unavailable


class SignUp(BaseModel):
    email: str


# Somebody waits for the answer, so not for long.
app = FastAPI(title="Sign up", lifespan=lifespan(enqueue_timeout=1))
app.add_exception_handler(OutboxUnavailable, unavailable)


@app.get("/")
async def read() -> dict[str, str]:
    return {"sign up": 'POST /signup {"email": "anna@example.com"}'}


@app.post("/signup", status_code=202)
async def sign_up(form: SignUp, outbox: AppOutbox) -> dict[str, str]:
    email = form.email.strip().lower()
    try:
        message = Message(
            sender="Shop <shop@example.com>",
            to=email,
            subject="Welcome",
            text="You have signed up. Nice to have you here!",
        )
    except ValidationError as exc:
        raise HTTPException(422, explain(exc)) from exc
    # The key makes it one mail, whatever a double click or a second try does.
    receipt = await outbox.send(message, key=f"welcome:{email}", priority="high", on_conflict="keep")
    return {"job": receipt.job_id}
