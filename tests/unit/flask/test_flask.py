"""`rq_ses.flask`: an app's Outbox by the app's configuration."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from flask import Flask

from rq_ses import Message, Outbox, OutboxUnavailable, SettingsError
from rq_ses.flask import RqSes, unavailable
from rq_ses.flask.extension import CallTerms, Terms

NOWHERE = "redis://127.0.0.1:1/0"
MESSAGE = Message(sender="shop@example.com", to="anna@example.com", subject="Hi", text="Hello")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RQ_SES_QUEUE", "RQ_SES_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def app_with(**config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(config)
    return app


def queue_of(mail: RqSes, app: Flask) -> str:
    with app.app_context():
        return mail.outbox.queue


def test_the_apps_configuration_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_QUEUE", "of-the-environment")
    mail = RqSes(app_with(RQ_SES_QUEUE="of-the-app"))
    empty = app_with(RQ_SES_QUEUE="")
    mail.init_app(empty)
    given = app_with(RQ_SES_QUEUE="of-the-app")
    mail.init_app(given)
    assert [queue_of(mail, app) for app in (empty, given)] == ["of-the-environment", "of-the-app"]


def test_a_file_that_the_configuration_names_is_read(tmp_path: Any) -> None:
    path = tmp_path / "rq-ses.toml"
    path.write_text('[rq_ses]\nqueue = "of-the-file"\nconcurrency = 8\n')
    app = app_with(RQ_SES_CONFIG=str(path))
    assert queue_of(RqSes(app), app) == "of-the-file"


def test_each_app_has_one_outbox_until_its_configuration_changes() -> None:
    mail, first, second = RqSes(), app_with(RQ_SES_QUEUE="first"), app_with(RQ_SES_QUEUE="second")
    for app in (first, second):
        mail.init_app(app)
    with first.app_context():
        made = mail.outbox
        assert mail.outbox is made
    assert queue_of(mail, second) == "second"
    with first.app_context():
        assert mail.outbox is made
        first.config["RQ_SES_QUEUE"] = "changed"
        assert mail.outbox is not made
        assert mail.outbox.queue == "changed"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"RQ_SES_QUEU": "mail"}, "RQ_SES_QUEU is not a setting: did you mean RQ_SES_QUEUE?"),
        ({"RQ_SES_ENQUEUE_TIMEOUT": "soon"}, "RQ_SES_ENQUEUE_TIMEOUT: 'soon' cannot be used"),
        ({"RQ_SES_REDIS_URL": "http://localhost"}, "RQ_SES_REDIS_URL: "),
    ],
)
def test_what_is_wrong_stops_the_apps_start(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RqSes(app_with(**config))
    assert caught.value.problems[0].startswith(problem)


def test_a_workers_settings_may_stand_beside_the_apps() -> None:
    app = app_with(RQ_SES_CONCURRENCY=8, RQ_SES_QUEUE="mail", RQ_SES_PARTITIONS=["{a}", "{b}"])
    assert queue_of(RqSes(app), app) == "mail"


def test_without_an_app_it_says_what_is_missing() -> None:
    mail = RqSes()
    with pytest.raises(RuntimeError, match="outside of application context"):
        mail.send(MESSAGE)
    with app_with().app_context(), pytest.raises(RuntimeError, match=r"'shop' has no RqSes: call init_app"):
        mail.send(MESSAGE)


def test_it_takes_what_an_outbox_takes() -> None:
    for kind, method in (
        (Terms, Outbox.send),
        (CallTerms, Outbox.send_many),
        (CallTerms, Outbox.try_send_many),
    ):
        taken = [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
        assert list(kind.__annotations__) == taken


def test_an_app_may_answer_503_where_redis_is_away() -> None:
    app = app_with(RQ_SES_REDIS_URL=NOWHERE, RQ_SES_ENQUEUE_TIMEOUT=0.01)
    mail = RqSes(app)
    app.register_error_handler(OutboxUnavailable, unavailable)
    app.add_url_rule("/one", view_func=lambda: mail.send(MESSAGE).job_id, endpoint="one")
    app.add_url_rule("/many", view_func=lambda: str(mail.send_many([MESSAGE])), endpoint="many")
    app.add_url_rule("/try", view_func=lambda: str(mail.try_send_many([MESSAGE])), endpoint="try")
    for path in ("/one", "/many", "/try"):
        answer = app.test_client().get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json == {"detail": "mail can't be taken right now: try again"}
