"""Send from Flask: `RqSes(app)`, and its `send` in any view, command or task of the app.

    mail = RqSes()
    mail.init_app(app)  # app.config["RQ_SES_REDIS_URL"] …, else the environment, else the file
    mail.send(message, key="welcome-anna@example.com")

It needs the extra `flask`.
"""

from rq_ses.flask.extension import RqSes, unavailable

__all__ = ["RqSes", "unavailable"]
