"""A web app that sends one welcome mail to whoever signs up, however often the form is sent.

RQ_SES_REDIS_URL=redis://127.0.0.1:6379/0 flask --app examples/flask_app/app.py run
"""

from __future__ import annotations

from flask import Flask, render_template_string, request
from pydantic import ValidationError

from rq_ses import Message, OutboxUnavailable, explain
from rq_ses.flask import RqSes

PAGE = """<!doctype html>
<title>Sign up</title>
<h1>Sign up</h1>
{% for problem in problems %}<p role="alert">{{ problem }}</p>{% endfor %}
{% if job_id %}<p role="status">Welcome! Your mail is on its way: job {{ job_id }}.</p>{% endif %}
<form method="post">
  <label>E-mail <input name="email" type="email" required></label> <button>Sign up</button>
</form>
"""

mail = RqSes()


def create_app() -> Flask:
    app = Flask(__name__)
    # Somebody looks at a browser and waits, so not for long.
    app.config["RQ_SES_ENQUEUE_TIMEOUT"] = 1
    mail.init_app(app)

    @app.get("/health")
    def health() -> str:
        mail.outbox.connection.ping()
        return "ok"

    @app.route("/", methods=["GET", "POST"])
    def sign_up() -> tuple[str, int]:
        if request.method == "GET":
            return render_template_string(PAGE), 200
        email = request.form.get("email", "").strip().lower()
        try:
            message = Message(
                sender="Shop <shop@example.com>",
                to=[email],
                subject="Welcome",
                text="You have signed up. Nice to have you here!",
                html="<p>You have signed up. <b>Nice to have you here!</b></p>",
            )
        except ValidationError as exc:
            return render_template_string(PAGE, problems=explain(exc)), 422
        try:
            # The key makes it one mail, whatever a double click or a second try does.
            receipt = mail.send(message, key=f"welcome:{email}", priority="high", on_conflict="keep")
        except OutboxUnavailable:
            return render_template_string(PAGE, problems=["Please try again in a minute."]), 503
        return render_template_string(PAGE, job_id=receipt.job_id), 200

    return app


app = create_app()
