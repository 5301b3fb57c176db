"""What plans the calls of an Outbox that are about mails which are enqueued already.

They are planned in rq_ses.mails, which reads what this room writes: it stands above it, and is loaded when
an app first asks how a mail stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, Protocol, TypeVar

from rq_ses.keys import Keys
from rq_ses.outbox.plans.steps import Line
from rq_ses.plan import Plan
from rq_ses.receipt import Receipt
from rq_ses.tracking import Status

Answer = TypeVar("Answer")

Mailed = str | Receipt | None
"""What names a mail: the id of its job, or what send returned; None if a key does."""

_TRACKER: Final = "rq_ses.mails.plans.tracker"


class Server(Protocol):
    """Where mails of a partition are, or of a queue that has none."""

    line: Line
    keys: Keys

    def asked(self, attempt: Callable[[float], Plan[Answer]]) -> Plan[Answer]:
        """Return what an attempt returns at last, which takes the moment at which it ends."""
        ...


class Tracking(Protocol):
    """Plans the calls; each raises ValueError for what names no mail, and OutboxUnavailable."""

    def status(self, mail: Mailed, key: str | None) -> Plan[Status]:
        """Tell how a mail stands, as Outbox.status does."""
        ...

    def wait(self, mail: Mailed, key: str | None, timeout: float) -> Plan[Status]:
        """Wait for a mail, as Outbox.wait does."""
        ...

    def cancel(self, mail: Mailed, key: str | None) -> Plan[bool]:
        """Call a mail back, as Outbox.cancel does."""
        ...


def tracking(queue: str, servers: Sequence[Server]) -> Tracking:
    """Return what plans the calls about the mails of a queue on these servers."""
    made: Tracking = import_module(_TRACKER).Tracker(queue, servers)
    return made
