"""For the tests of a project: mails are checked as for the queue, and land in `mail.outbox`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.mail.backends import locmem

from rq_ses.django.backend import EmailBackend
from rq_ses.django.conversion import Converted


class LocmemBackend(EmailBackend):
    """Take what `EmailBackend` takes, and its options, and refuse what it refuses; nothing is enqueued.

    Mails are put into `django.core.mail.outbox` at once, also in a transaction, as Django's own backend for
    tests does. Django puts that one in place of all others when tests begin: override the setting with this.
    """

    def _take(self, mails: Sequence[Converted]) -> int:
        alias: str | None = getattr(self, "alias", None)
        given: dict[str, Any] = {} if alias is None else {"alias": alias}
        taken: int = locmem.EmailBackend(**given).send_messages([one.mail for one in mails])
        return taken
