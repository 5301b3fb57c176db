"""The AsyncOutbox of an app: opened and closed with it, found by its routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, TypedDict

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from rq_ses.aio import AsyncOutbox
from rq_ses.outbox.plans.retrying import FULL_EVERY


class State(TypedDict):
    """What the lifespan gives to each request, as `request.state.rq_ses`."""

    rq_ses: AsyncOutbox


def lifespan(**overrides: Any) -> Callable[[Any], AbstractAsyncContextManager[State]]:
    """Return a lifespan for an app of FastAPI's or Starlette's: while the app runs, an AsyncOutbox is open.

    Settings are read when the app starts, so that a wrong one stops it. An app that has a lifespan of its own
    enters this one in it, and yields its state along with the app's:

        async with lifespan()(app) as state:
            yield {**state, "db": db}

    Args:
        overrides: settings by their names, as `AsyncOutbox.from_env` takes them.
    """

    @asynccontextmanager
    async def opened(_: Any) -> AsyncGenerator[State, None]:
        async with AsyncOutbox.from_env(**overrides) as outbox:
            yield {"rq_ses": outbox}

    return opened


async def app_outbox(connection: HTTPConnection) -> AsyncOutbox:
    """Return the app's AsyncOutbox, as a dependency of a route, of a web socket's, or of another dependency.

    Tests put another in its place by `app.dependency_overrides[app_outbox]`.

    Raises:
        RuntimeError: the app was started without `lifespan()`, or not started at all.
    """
    found: AsyncOutbox | None = getattr(connection.state, "rq_ses", None)
    if found is None:
        raise RuntimeError(
            "the app has no AsyncOutbox: give FastAPI(lifespan=rq_ses.fastapi.lifespan()), "
            "and in tests enter its TestClient with `with`"
        )
    return found


AppOutbox = Annotated[AsyncOutbox, Depends(app_outbox)]
"""The type of a route's parameter that is the app's AsyncOutbox."""


async def unavailable(_: Request, exc: Exception) -> JSONResponse:  # noqa: ARG001
    """Answer 503 with Retry-After, for an app that wants it wherever it can't enqueue.

    app.add_exception_handler(OutboxUnavailable, unavailable)
    """
    return JSONResponse(
        {"detail": "mail can't be taken right now: try again"},
        503,
        headers={"Retry-After": f"{FULL_EVERY:.0f}"},
    )
