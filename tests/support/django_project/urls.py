"""A page that is answered, one that fails, and the lack of all others."""

from __future__ import annotations

from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse
from django.urls import path


def fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the page failed")


def sends(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(send_mail("Welcome", "Hello!", None, ["anna@customer.example"])))


urlpatterns = [path("fails", fails), path("sends", sends)]
