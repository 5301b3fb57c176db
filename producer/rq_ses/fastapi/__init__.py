"""Send from FastAPI: an AsyncOutbox that lives as long as the app, and a dependency that gives it to routes.

    app = FastAPI(lifespan=lifespan())

    @app.post("/signup", status_code=202)
    async def signup(form: SignUp, outbox: AppOutbox) -> …:
        await outbox.send(message, key=f"welcome-{form.email}")

It needs the extra `fastapi`.
"""

from rq_ses.fastapi.lifespan import AppOutbox, app_outbox, lifespan, unavailable

__all__ = ["AppOutbox", "app_outbox", "lifespan", "unavailable"]
