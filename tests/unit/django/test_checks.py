"""The checks of a project's settings."""

from __future__ import annotations

import logging.config
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from support.django_project.project import BACKEND, MAILERS, WAYS, sending
from support.pages.documents import DOCS, blocks

CONSOLE = "django.core.mail.backends.console.EmailBackend"


def found() -> dict[str, str]:
    return {one.id: one.msg for one in run_checks(tags=["mail"]) if one.id.startswith("rq_ses.")}


@pytest.mark.parametrize("way", WAYS)
def test_a_project_that_can_send_is_told_nothing(way: str) -> None:
    with sending(way), override_settings(ADMINS=[], MANAGERS=[]):
        assert found() == {}


@pytest.mark.parametrize("way", WAYS)
def test_senders_without_a_full_domain_are_told(way: str) -> None:
    bad = override_settings(DEFAULT_FROM_EMAIL="webmaster@localhost", SERVER_EMAIL="root", ADMINS=[])
    with bad, sending(way):
        told = found()
    assert told["rq_ses.W001"].startswith("DEFAULT_FROM_EMAIL: 'webmaster@localhost' has no full domain")
    assert told["rq_ses.W002"].startswith("SERVER_EMAIL: 'root' is not an e-mail address")
    with bad, sending(way, backend=CONSOLE):
        assert found() == {}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"priority": "urgent"}, "priority: 'urgent'"),
        ({"redis_url": "http://user:secret@host"}, "RQ_SES_REDIS_URL"),
    ],
)
def test_options_that_cant_be_used_are_an_error(way: str, options: dict[str, Any], text: str) -> None:
    with sending(way, **options):
        told = found()["rq_ses.E001"]
    assert text in told
    assert "secret" not in told


@pytest.mark.parametrize("way", WAYS)
def test_a_password_that_error_mails_would_show_is_told(way: str) -> None:
    for url in ("redis://app:secret@127.0.0.1/0", "redis://127.0.0.1/0?password=secret"):
        with sending(way, redis_url=url), override_settings(ADMINS=[], MANAGERS=[]):
            [(number, text)] = found().items()
        assert (number, "secret" in text) == ("rq_ses.W004", False)
        assert text.endswith(
            "redis_url has a password, which Django writes into error mails and debug pages."
        )


@pytest.mark.parametrize("way", WAYS)
def test_a_database_that_nobody_knows_is_told(way: str) -> None:
    with sending(way, using="nowhere"):
        assert found()["rq_ses.E003"].endswith("using: 'nowhere' is no database of DATABASES.")


@pytest.mark.parametrize("way", WAYS)
def test_who_names_an_option_wrongly_is_told_which_there_are(way: str) -> None:
    with sending(way, prioritty="high"):
        [told] = [one for one in run_checks(tags=["mail"]) if one.id == "rq_ses.E001"]
    assert "prioritty" in told.msg
    assert {"priority,", "expires,"} <= set(told.hint.split())


if MAILERS:

    def test_the_settings_of_the_page_are_fit() -> None:
        page = (DOCS / "how-to" / "django.md").read_text()
        [block] = [one for one in blocks(page, "python") if one.title == "site_settings_61.py"]
        found_there: dict[str, Any] = {"EMAIL_BACKEND": "", "RQ_SES": {}}
        exec(block.text.replace("from site_settings import *", ""), found_there)
        logging.config.dictConfig(found_there["LOGGING"])
        handlers = logging.getLogger("django").handlers
        assert [getattr(handler, "using", None) for handler in handlers] == ["errors"]
        handlers.clear()
        with override_settings(MAILERS=found_there["MAILERS"], ADMINS=found_there["ADMINS"]):
            assert found() == {}

    def test_error_mails_that_would_take_the_page_along_are_told() -> None:
        mailers: dict[str, Any] = {"default": {"BACKEND": BACKEND}}
        with override_settings(MAILERS=mailers):
            assert list(found()) == ["rq_ses.W003"]
        silent = {"BACKEND": BACKEND, "OPTIONS": {"fail_silently": True}}
        with override_settings(MAILERS={**mailers, "errors": silent}):
            assert found() == {}
        with override_settings(MAILERS={**mailers, "errors": {"BACKEND": CONSOLE}}):
            assert found() == {}

else:

    def test_mailers_that_django_doesnt_read_are_told() -> None:
        with override_settings(MAILERS={"default": {"BACKEND": BACKEND}}, EMAIL_BACKEND=CONSOLE):
            assert found()["rq_ses.E002"].endswith("doesn't read MAILERS: mails go where EMAIL_BACKEND says.")
