"""One request with its answer, as far as they are known while it is handled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rq_ses_worker.simulator.api.account import event_of
from rq_ses_worker.simulator.api.answers import Answer
from rq_ses_worker.simulator.api.faults import Effect
from rq_ses_worker.simulator.records.inbox import Request
from rq_ses_worker.simulator.records.mail import EntryResult, Mail
from rq_ses_worker.simulator.records.raw import RawRequest
from rq_ses_worker.simulator.templated import Templated

ACCEPTED: Final = Effect(accepts=True)
"""What happens to a mail without a script."""

_PATH_LIMIT: Final = 200


@dataclass(slots=True)
class Exchange:
    """A request as received `at` (epoch seconds; also `monotonic`), and what becomes known of it.

    `share` is how many mails it asks for.
    """

    raw: RawRequest
    at: float
    monotonic: float
    verdict: str = "unchecked"
    attempt: int = 0
    recipients: tuple[str, ...] = ()
    message_id: str | None = None
    fault: str | None = None
    effect: Effect = ACCEPTED
    share: int = 1
    entries: list[EntryResult] = field(default_factory=list)

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.raw.target.partition(b"?")[0]

    def mail(
        self,
        sender: str,
        recipients: tuple[str, ...],
        message_id: str,
        template: Templated | None,
        entry: int | None,
        fates: Mapping[str, str],
    ) -> Mail:
        """Return the mail that this request became, or this entry of it.

        `fates` are what becomes of recipients by their scripts.
        """
        return Mail(
            at=self.at,
            monotonic=self.monotonic,
            message_id=message_id,
            sender=sender,
            recipients=recipients,
            attempt=self.attempt,
            events={
                address: fate for address in recipients if (fate := fates.get(address) or event_of(address))
            },
            body=self.raw.body,
            entry=entry,
            share=self.share,
            template=template,
            rendering_failure=template.failure() if template else None,
        )

    def request(self, answer: Answer, request_id: str, answered_at: float) -> Request:
        """Return the record of the request with its answer, which is due at `answered_at` (epoch seconds)."""
        answered = self.effect.hang_up is None
        return Request(
            at=self.at,
            monotonic=self.monotonic,
            answered_at=answered_at,
            method=self.raw.method,
            path=self.path[:_PATH_LIMIT].decode("utf-8", "backslashreplace"),
            recipients=self.recipients,
            verdict=self.verdict,
            status=answer.status if answered else None,
            code=answer.code if answered else None,
            attempt=self.attempt,
            request_id=request_id,
            message_id=self.message_id,
            fault=self.fault,
            message=answer.message if answered else None,
            entries=tuple(self.entries),
        )
