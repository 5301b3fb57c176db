"""Plans a look at one mail with all that SES has told of it, wherever that stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rq_ses.mails.asking import Asks
from rq_ses.mails.stored import StoredMail, found
from rq_ses.mails.told import merged, message_id_in
from rq_ses.plan import Plan


def looked(of: Callable[[str], Asks], queues: Sequence[str], job_id: str) -> Plan[StoredMail]:
    """Return a mail of some queues.

    Args:
        of: what returns the server of an id.
        queues: named in the order of their priorities.
        job_id: the mail's.

    Raises:
        MailNotFound: nothing is known of it, or it is none of theirs.
    """
    stored = yield from found(of(job_id), queues, job_id)
    message_id = message_id_in(stored.result)
    if not message_id:
        return stored
    # Events that carry no tags stand under SES's id, unless an index led to the job (RQ_SES_MESSAGE_INDEX).
    asked = of(message_id)
    further = yield from asked.command("HGETALL", asked.keys.events(message_id))
    return replace(stored, events=merged(stored.events, further or {}))
