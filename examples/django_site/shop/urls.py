"""The site's one page: it sends a welcome mail to whoever signs up, however often the form is sent."""

from __future__ import annotations

from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template import Context, Engine
from django.urls import path
from pydantic import ValidationError

from rq_ses import OutboxUnavailable, explain

PAGE = """<!doctype html>
<title>Sign up</title>
<h1>Sign up</h1>
{% for problem in problems %}<p role="alert">{{ problem }}</p>{% endfor %}
{% if job_id %}<p role="status">Welcome! Your mail is on its way: job {{ job_id }}.</p>{% endif %}
<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="{{ token }}">
  <label>E-mail <input name="email" type="email" required></label> <button>Sign up</button>
</form>
"""


def shown(request: HttpRequest, status: int, **context: object) -> HttpResponse:
    template = Engine.get_default().from_string(PAGE)
    return HttpResponse(template.render(Context({"token": get_token(request), **context})), status=status)


def sign_up(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return shown(request, 200)
    email = request.POST.get("email", "").strip().lower()
    mail = EmailMultiAlternatives("Welcome", "You have signed up. Nice to have you here!", to=[email])
    mail.attach_alternative("<p>You have signed up. <b>Nice to have you here!</b></p>", "text/html")
    # The key makes it one mail, whatever a double click or a second try does.
    mail.rq_ses = {"key": f"welcome:{email}", "priority": "high"}
    try:
        mail.send()
    except ValidationError as exc:
        return shown(request, 422, problems=explain(exc))
    except OutboxUnavailable:
        return shown(request, 503, problems=["Please try again in a minute."])
    return shown(request, 200, job_id=mail.rq_ses_receipt.job_id)


urlpatterns = [path("", sign_up)]
