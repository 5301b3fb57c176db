"""One request with its answer, as far as they are known while it is handled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rq_ses_worker.simulator.api.account import event_of
from rq_ses_worker.simulator.api.answers import Answer
from rq_ses_worker.simulator.api.faults import Effect
from rq_ses_worker.simulator.api.identity import identity_of
from rq_ses_worker.simulator.api.submission import Submission
from rq_ses_worker.simulator.records.inbox import Mail, Request
from rq_ses_worker.simulator.records.raw import RawRequest

SEND_EMAIL: Final = b"/v2/email/outbound-emails"
GET_ACCOUNT: Final = b"/v2/email/account"

Operation = Literal["SendEmail", "GetAccount", "GetEmailIdentity"]

ACCEPTED: Final = Effect(accepts=True)
"""What happens to a mail without a script."""

_PATH_LIMIT: Final = 200


@dataclass(slots=True)
class Exchange:
    """A request as received `at` (epoch seconds; also `monotonic`), and what becomes known of it."""

    raw: RawRequest
    at: float
    monotonic: float
    verdict: str = "unchecked"
    attempt: int = 0
    recipients: tuple[str, ...] = ()
    message_id: str | None = None
    fault: str | None = None
    effect: Effect = ACCEPTED

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.raw.target.partition(b"?")[0]

    @property
    def operation(self) -> Operation | None:
        """SES's name of what is asked; None when it isn't one that the simulator knows."""
        path, method = self.path, self.raw.method
        if method == "POST" and path.endswith(SEND_EMAIL):
            return "SendEmail"
        if method == "GET" and path.endswith(GET_ACCOUNT):
            return "GetAccount"
        if method == "GET" and identity_of(path) is not None:
            return "GetEmailIdentity"
        return None

    def mail(self, submission: Submission, message_id: str) -> Mail:
        """Return the mail that this request became."""
        recipients = submission.recipients
        return Mail(
            at=self.at,
            monotonic=self.monotonic,
            message_id=message_id,
            sender=submission.sender,
            recipients=recipients,
            attempt=self.attempt,
            events={address: event for address in recipients if (event := event_of(address))},
            body=self.raw.body,
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
        )
