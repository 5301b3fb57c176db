"""The backend's options, under each of the settings that name it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection, mail_admins
from django.test import override_settings

import rq_ses.django
from rq_ses import SettingsError
from rq_ses.django import EmailBackend, LocmemBackend
from rq_ses.django.options import NAMES, Options, read_options
from rq_ses.django.outboxes import outbox_for
from support.django_project.project import MAILERS, WAYS, sending


def backend(**options: Any) -> Any:
    """The backend as Django makes it."""
    if MAILERS:
        from django.core.mail import mailers

        return mailers["default"]
    return get_connection(**options)


@pytest.mark.parametrize("way", WAYS)
def test_options_come_by_the_setting_that_names_the_backend(way: str) -> None:
    with sending(way, queue="shop", priority="bulk", expires=timedelta(hours=1), on_commit=False):
        found = backend()._options
    assert found == Options(queue="shop", priority="bulk", expires=timedelta(hours=1), on_commit=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"priority": "urgent"}, "priority: 'urgent' can't be used: give one of high, normal, bulk"),
        ({"priority": ["high"]}, "priority: a list can't be used"),
        ({"durable": "yes"}, "durable: 'yes' can't be used: give True or False"),
        ({"on_commit": 1}, "on_commit: 1 can't be used"),
        ({"expires": 0}, "expires: 0 can't be used: give seconds or a timedelta above 0"),
        ({"expires": timedelta(-1)}, "expires: "),
        ({"enqueue_timeout": "1"}, "enqueue_timeout: '1' can't be used: give seconds above 0"),
    ],
)
def test_an_option_that_cant_be_used_is_named_with_its_place(
    way: str, options: dict[str, Any], text: str
) -> None:
    place = r"MAILERS\['default'\]" if way == "MAILERS" else "RQ_SES"
    with sending(way, **options), pytest.raises(ImproperlyConfigured, match=f"^{place}: {text}"):
        backend()


def test_a_misspelt_option_is_refused() -> None:
    with (
        override_settings(RQ_SES={"quue": "x"}),
        pytest.raises(ImproperlyConfigured, match=r"^RQ_SES: 'quue' is no"),
    ):
        EmailBackend()
    with (
        override_settings(RQ_SES="redis://"),
        pytest.raises(ImproperlyConfigured, match="give a dict of options"),
    ):
        EmailBackend()
    if MAILERS:
        with (
            sending("MAILERS", quue="x"),
            pytest.raises(ImproperlyConfigured, match="Unknown options 'quue'"),
        ):
            backend()


def test_what_django_hands_to_every_backend_is_nothing_to_ours() -> None:
    backend = EmailBackend(username="u", password="p", fail_silently=True)
    assert backend.fail_silently is True
    assert backend._options == Options(fail_silently=True, enqueue_timeout=1)


def test_a_call_that_may_fail_is_short_whatever_the_setting_says() -> None:
    with override_settings(RQ_SES={"enqueue_timeout": 30, "fail_silently": True}):
        assert EmailBackend()._options.enqueue_timeout == 30
        assert EmailBackend(fail_silently=True)._options.enqueue_timeout == 1
        assert EmailBackend().fail_silently is True
    # An alias says by itself how long.
    assert read_options({"fail_silently": True, "enqueue_timeout": 30}, "errors").enqueue_timeout == 30


def test_a_call_has_a_second_unless_it_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(options: Options) -> float:
        from rq_ses.django import outboxes

        outboxes._forget()
        return float(outbox_for(options).connection.get_connection_kwargs()["socket_timeout"])

    assert seconds(Options()) == 1
    assert seconds(Options(enqueue_timeout=3)) == 3
    monkeypatch.setenv("RQ_SES_ENQUEUE_TIMEOUT", "4")
    assert seconds(Options()) == 4
    assert seconds(Options(enqueue_timeout=3)) == 3


def test_there_is_one_outbox_for_all_instances_until_settings_change() -> None:
    found = outbox_for(Options(queue="shop"))
    assert outbox_for(Options(queue="shop", priority="bulk", fail_silently=True)) is found
    assert outbox_for(Options(queue="other")) is not found
    with override_settings(DEBUG=False):
        assert outbox_for(Options(queue="shop")) is not found


def test_settings_of_ours_that_cant_be_used_are_told_when_a_mail_is_sent() -> None:
    with pytest.raises(SettingsError, match="http://redis"):
        outbox_for(Options(redis_url="http://redis"))


def test_a_backend_is_made_without_reading_them() -> None:
    with override_settings(RQ_SES={"redis_url": "http://redis"}):
        with EmailBackend() as opened:
            assert opened.send_messages([]) == 0
        assert opened.send_messages(iter([])) == 0
        opened.close()
    with override_settings(ADMINS=[]), sending(redis_url="http://redis"):
        mail_admins("S", "T")


def test_names_that_are_public() -> None:
    assert rq_ses.django.EmailBackend is EmailBackend
    assert rq_ses.django.LocmemBackend is LocmemBackend
    assert set(rq_ses.django.__all__) == {"EmailBackend", "LocmemBackend"}
    with pytest.raises(AttributeError, match="has no attribute 'Backend'"):
        rq_ses.django.Backend  # noqa: B018
    assert {
        "redis_url", "queue", "priority", "durable", "enqueue_timeout", "expires", "on_commit", "using",
        "fail_silently",
    } == NAMES  # fmt: skip
