"""The view that takes SNS's messages in a Django project."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from rq_ses import SettingsError
from rq_ses.django.feedback import feedback_view
from rq_ses.feedback.receiver import Answer

ARN = "arn:aws:sns:us-east-1:123456789012:ses-events"


class Taking:
    """Stands in the place of a Feedback."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []

    def post(self, body: bytes, headers: Any) -> Answer:
        self.taken.append((body, headers.get("x-amz-sns-rawdelivery", "")))
        return Answer(503, "unstored", "Redis is away")

    def refuse(self, answer: Answer) -> Answer:
        return answer

    def refuse_cut(self) -> Answer:
        return Answer(503, "unchecked", "cut")

    def refuse_long(self) -> Answer:
        return Answer(413, "refused", "too long")


taking = Taking()
urlpatterns = [path("hooks/ses", feedback_view(taking))]  # type: ignore[arg-type]


def test_a_post_is_taken_without_a_csrf_token_and_answered() -> None:
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"]):
        answer = Client(enforce_csrf_checks=True).post(
            "/hooks/ses",
            b"{}",
            content_type="text/plain; charset=UTF-8",
            headers={"x-amz-sns-rawdelivery": "true"},
        )
    assert (answer.status_code, answer.content) == (
        503,
        b"it can't be checked or stored now: send it again\n",
    )
    assert taking.taken == [(b"{}", "true")]


def test_other_requests_are_not_snss() -> None:
    view = feedback_view(taking)  # type: ignore[arg-type]
    assert view(RequestFactory().get("/")).status_code == 405
    long = RequestFactory().post("/", b"", content_type="text/plain", CONTENT_LENGTH="9999999")
    assert view(long).status_code == 413


def test_what_django_would_not_read_is_to_come_again() -> None:
    view = feedback_view(taking)  # type: ignore[arg-type]
    request = RequestFactory().post("/", b"x" * 3000, content_type="text/plain")
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=2000):
        assert view(request).status_code == 503
    cut = RequestFactory().post(
        "/", b"", content_type="text/plain", CONTENT_LENGTH="100", **{"wsgi.input": io.BytesIO(b"{")}
    )
    assert view(cut).status_code == 503


def test_settings_are_judged_when_the_urls_are_loaded() -> None:
    assert callable(feedback_view(topics=[ARN]))
    with override_settings(RQ_SES={"redis_url": "redis://shop.example/3"}):
        assert callable(feedback_view(topics=[ARN]))
    with pytest.raises(SettingsError, match="RQ_SES_FEEDBACK_TOPICS: is not set"):
        feedback_view()
