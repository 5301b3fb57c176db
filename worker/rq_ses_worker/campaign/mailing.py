"""What a worker keeps of a campaign: what it takes to send its entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from rq_ses.campaign.bulkjob import QueuedEntry, read_terms
from rq_ses.campaign.campaign import Campaign
from rq_ses.message.render import send_email_body
from rq_ses_worker.ses.bulk.request import BulkRequests
from rq_ses_worker.ses.outcome import Outcome, Terminal

RENDERING_FAILURE: Final = "RenderingFailure"
"""Our code of an entry whose mail can't be rendered."""


class Client(Protocol):
    """What sends: SesClient, or a stand-in of a test."""

    def send_body(self, body: bytes) -> Outcome: ...
    def send_bulk(self, body: bytes, entries: int) -> Outcome | list[Outcome]: ...


class Mailing:
    """Sends entries of one campaign; nothing in it changes, and threads may share it.

    Raises:
        ValueError: its template doesn't compile.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.is_local: Final = campaign.template.engine != "ses"
        """Whether entries are rendered here, and sent one by one."""
        self._requests = None if self.is_local else BulkRequests(campaign)
        if self.is_local:
            # The renderer is loaded where it is needed.
            from rq_ses.campaign.jinja import RenderingFailure
            from rq_ses.campaign.localmail import LocalMails
            from rq_ses_worker.campaign.straight import StraightRequests

            self._mails = LocalMails(campaign)
            self._failure = RenderingFailure
            self._straight = StraightRequests(self._mails)

    @classmethod
    def read(cls, campaign: str, terms: str, data: bytes) -> Mailing:
        """Return the mailing of the terms that stand in Redis. Raises ValueError."""
        return cls(read_terms(campaign, terms, data))

    def send(self, client: Client, entries: Sequence[QueuedEntry]) -> Outcome | list[Outcome]:
        """Send entries, of a campaign that is rendered here one; return how each fared, or all alike."""
        if self._requests:
            return client.send_bulk(self._requests.body(entries), len(entries))
        [entry] = entries
        try:
            body = self._straight.body(entry) or send_email_body(self._mails.mail(entry), entry.id)
        except self._failure as exc:
            return Terminal(code=RENDERING_FAILURE, message=str(exc))
        return client.send_body(body)
