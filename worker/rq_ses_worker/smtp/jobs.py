"""A mail as jobs: one for each 50 recipients, each under a key that is made of what it is.

A client that had no answer sends again, so the same mail must be the same job: the key is a hash of envelope
and content. A Message-ID or a Date tells a mail from another one with the same words. One that has neither is
another mail when it comes in another hour: the same report, day after day, is to be sent each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from pydantic import ValidationError

from rq_ses import RawMessage, contract
from rq_ses.message.limits import RECIPIENTS
from rq_ses.outbox.submission import Submission
from rq_ses.text.invalid import explain
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.content import Content
from rq_ses_worker.smtp.replies import Refused

NAME: Final = "rq-ses"
"""What the ingress calls itself: no client needs to know the host's name, and no reader of a mail."""

_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it came.

    Attributes:
        content: its bytes, and what they say.
        sender: the envelope's.
        recipients: the envelope's, each once, in an order of their own: a client may send again in another.
        protocol: by which it came: ESMTP and its kin (RFC 3848).
    """

    content: Content
    sender: str
    recipients: tuple[str, ...]
    protocol: str

    @classmethod
    def of(cls, content: Content, sender: str, recipients: Iterable[str], protocol: str) -> Mail:
        """Return the mail with this envelope."""
        return cls(content, sender, tuple(sorted(set(recipients))), protocol)

    @property
    def is_several(self) -> bool:
        """Whether it becomes more than one job."""
        return len(self.recipients) > RECIPIENTS.most


def jobs_of(mail: Mail, queue: str, now: float) -> Iterator[Submission]:
    """Yield what enqueues a mail: made one by one, for each holds all its bytes. `now` is in epoch seconds.

    Raises Refused, at the first of them if at all, if SES couldn't take it.
    """
    content = mail.content
    told = hashlib.blake2b(content.data, digest_size=32, person=b"rq-ses-smtp")
    hour = "" if content.told_apart else int(now // _HOUR)
    told.update(f"\0{content.priority}\0{mail.sender}\0{hour}".encode())
    for at in range(0, len(mail.recipients), RECIPIENTS.most):
        some = mail.recipients[at : at + RECIPIENTS.most]
        digest = hashlib.blake2b("\0".join(some).encode(), digest_size=32, key=told.digest()).hexdigest()
        key = f"smtp:{digest}"
        job_id = contract.keyed_job_id(queue, key)
        received = f"Received: by {NAME} with {mail.protocol} id {job_id};\r\n\t{_date(int(now))}\r\n"
        yield Submission(_message(mail, received.encode(), some), key, priority=content.priority)


def _message(mail: Mail, received: bytes, recipients: tuple[str, ...]) -> RawMessage:
    sender, is_from = mail.sender, mail.content.is_from
    try:
        return RawMessage(
            data=received + mail.content.data,
            to=recipients,
            # A From header is left as it is; without one SES goes by the envelope, as a mail server does.
            sender=sender if is_from is None else None,
            # Where bounces go is the envelope's word: SES's own SMTP endpoint does so, too.
            feedback_to=None if is_from in (None, sender.lower()) else sender,
        )
    except ValidationError as exc:
        raise Refused(replies.unusable("; ".join(explain(exc)))) from None


@lru_cache(maxsize=2)
def _date(now: int) -> str:
    return f"{formatdate(now).removesuffix('-0000')}+0000"
