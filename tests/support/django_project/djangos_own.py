"""Run Django's own tests of mail backends against ours: python -m support.django_project.djangos_own

They come with the source of the version that is installed, which is fetched for it (source.py). What is sent
goes through a Valkey and a worker to the simulator; what has come there is what the tests look at. Ends with
1 if others fail than UNMET says.
"""

from __future__ import annotations

import base64
import copy
import os
import sys
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage as MimeMail
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings

from rq_ses_worker.engine.burst import deliver
from rq_ses_worker.simulator.options import DEFAULT_CREDENTIAL
from rq_ses_worker.simulator.server import SimulatorServer
from rq_ses_worker.simulator.settings import REGION
from support.django_project.project import BACKEND, MAILERS
from support.django_project.source import django_source
from support.servers.valkey import url, valkey

UNMET: Final[dict[str, set[str]]] = {
    "5.2": {"test_lazy_addresses", "test_recipient_without_domain"},
    "6.0": {"test_lazy_addresses", "test_recipient_without_domain"},
    "6.1": set(),
}
"""Tests that can't be met, by Django's series."""


def configure(source: Path) -> None:
    """Set Django up for its tests, as its own runner does, with senders that SES takes."""
    sys.path.insert(0, str(source / "tests"))
    os.environ["RUNTESTS_DIR"] = str(source / "tests")
    memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        SECRET_KEY="of the tests",
        DATABASES={"default": dict(memory), "other": dict(memory)},
        INSTALLED_APPS=[
            "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites",
            "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
            "django.contrib.admin.apps.SimpleAdminConfig", "rq_ses.django",
        ],
        SITE_ID=1,
        ROOT_URLCONF="urls",
        STATIC_URL="static/",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DEFAULT_FROM_EMAIL="webmaster@example.com",
        SERVER_EMAIL="root@example.com",
        USE_TZ=False,
        **({"MAILERS": {"default": {"BACKEND": BACKEND}}} if MAILERS else {}),
    )  # fmt: skip
    django.setup()


class Mailbox:
    """What has come to SES since it was emptied."""

    def __init__(self, redis_url: str, ses: SimulatorServer) -> None:
        self._redis_url, self._ses = redis_url, ses

    def mails(self) -> list[Any]:
        """Let a worker send all there is, and return it as Django's tests read mails, in their order."""
        deliver(
            self._redis_url,
            base_url=self._ses.url,
            region=REGION.default,
            access_key_id=DEFAULT_CREDENTIAL.access_key_id,
            secret_access_key=DEFAULT_CREDENTIAL.secret_access_key,
            session_token=None,
        )
        # Several are sent at a time, so they have come in any order.
        found = sorted(self._ses.mails, key=lambda mail: mail.recipients)
        return [BytesParser(MimeMail, policy=default).parsebytes(_mime(mail.request)) for mail in found]

    def flush(self) -> None:
        self.mails()
        self._ses.clear()


def _mime(request: dict[str, Any]) -> bytes:
    """Return the MIME that SES makes of a request, in the form in which Django writes it."""
    from django.core.mail import EmailMultiAlternatives

    content = request["Content"]
    if "Raw" in content:
        raw = base64.b64decode(content["Raw"]["Data"]).replace(b"\r\n", b"\n")
        return b"Date: Sun, 29 Nov 2026 10:00:00 +0000\n" + raw
    destination, simple = request["Destination"], content["Simple"]
    assert not simple.get("Attachments"), "these tests attach nothing"
    mail = EmailMultiAlternatives(
        simple["Subject"]["Data"],
        simple["Body"].get("Text", {}).get("Data", ""),
        request["FromEmailAddress"],
        destination.get("ToAddresses"),
        cc=destination.get("CcAddresses"),
        reply_to=request.get("ReplyToAddresses"),
        headers={one["Name"]: one["Value"] for one in simple.get("Headers", [])},
    )
    if "Html" in simple["Body"]:
        mail.attach_alternative(simple["Body"]["Html"]["Data"], "text/html")
    data: bytes = mail.message().as_bytes()
    return data


def shared_tests(mailbox: Mailbox) -> type[unittest.TestCase]:
    """Return Django's tests of every backend, for ours."""
    from django.test import SimpleTestCase

    if MAILERS:
        from mail.test_backends import SharedEmailBackendTests as Shared  # type: ignore[import-not-found]
    else:
        from mail.tests import BaseEmailBackendTests as Shared  # type: ignore[import-not-found]

    from rq_ses.django.backend import EmailBackend

    class RqSesTests(Shared, SimpleTestCase):  # type: ignore[misc]
        email_backend = BACKEND
        backend_class = EmailBackend

        def get_mailbox_content(self) -> list[Any]:
            return mailbox.mails()

        def flush_mailbox(self) -> None:
            mailbox.flush()

        def setUp(self) -> None:
            super().setUp()
            mailbox.flush()

        def test_fail_silently_arg_accepted(self) -> None:
            # Django asks this of the backends that go on taking it.
            for value in (True, False):
                backend = EmailBackend(fail_silently=value)
                assert backend.fail_silently is value

    return RqSesTests


def through_the_queue() -> None:
    """Let each mail that Django's other tests send to memory go into the queue first."""
    from django.core import mail
    from django.core.mail.backends import locmem

    from rq_ses.django import EmailBackend

    class Both(EmailBackend):
        def send_messages(self, email_messages: Any) -> int:
            mails = list(email_messages)
            taken = super().send_messages(mails)
            for one in mails:
                assert one.rq_ses_receipt
                copied = copy.copy(one)
                copied.sent_using = getattr(self, "alias", None)
                mail.outbox.append(copied)
            return taken

    locmem.EmailBackend = Both


def suite(mailbox: Mailbox) -> unittest.TestSuite:
    """Return what is run: the tests of backends, of the command, and of what mails errors."""
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    found = unittest.TestSuite(load(shared_tests(mailbox)))
    through_the_queue()
    from logging_tests.tests import AdminEmailHandlerTest  # type: ignore[import-not-found]
    from mail.test_sendtestemail import SendTestEmailManagementCommand  # type: ignore[import-not-found]
    from middleware.tests import BrokenLinkEmailsMiddlewareTest  # type: ignore[import-not-found]

    for tests in (SendTestEmailManagementCommand, AdminEmailHandlerTest, BrokenLinkEmailsMiddlewareTest):
        found.addTests(load(tests))
    return found


@contextmanager
def surroundings() -> Iterator[Mailbox]:
    """Start a server and an SES."""
    with (
        tempfile.TemporaryDirectory() as directory,
        valkey(Path(directory)) as server,
        SimulatorServer(DEFAULT_CREDENTIAL.access_key_id, DEFAULT_CREDENTIAL.secret_access_key, None) as ses,
    ):
        os.environ["RQ_SES_REDIS_URL"] = url(server)
        yield Mailbox(url(server), ses)


def main() -> int:
    """Run them all, and return the exit code."""
    version = django.get_version()
    configure(django_source(version))
    from django.test.utils import setup_test_environment

    with surroundings() as mailbox:
        setup_test_environment(debug=False)
        result = unittest.TextTestRunner().run(suite(mailbox))
    tests = [test.id().split(" ")[0] for test, _ in result.failures + result.errors]
    failed = {name.rpartition(".")[2] for name in tests}
    unmet = UNMET[version.rpartition(".")[0]]
    print(f"Django {version}: {result.testsRun} tests, {len(failed)} failed, {len(unmet)} can't be met")  # noqa: T201
    for name in sorted(failed ^ unmet):
        print(f"{name} {'failed' if name in failed else 'is met, now'}")  # noqa: T201
    return int(failed != unmet or result.testsRun < 40)


if __name__ == "__main__":
    sys.exit(main())
