"""What producer and worker agree on, written once: names, numbers, the form of a job.

Everything RQ reads is in RQ's form (RQ 3.0: Job.restore, Queue, the registries). The keys: rq_ses.keys.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

from rq_ses.text.invalid import shown
from rq_ses.text.plaintext import one_line

DEFAULT_QUEUE: Final = "mail"
JOB_FUNCTION: Final = "rq_ses_worker.job.send"
SERIALIZER: Final = "json"
"""RQ's name of its JSONSerializer. Never pickle: whoever can write to Redis could run code in the worker."""

JOB_TIMEOUT: Final = 3600
"""Seconds a stock `rq worker` lets the job run: more than two exchanges with SES (the second with a corrected
signature) take by any setting of RQ_SES_TIMEOUT and RQ_SES_MIN_UPLOAD_RATE, which end them far sooner."""

RESULT_TTL: Final = 86_400
"""Seconds for which the receipt of a sent mail is kept."""

FAILURE_TTL: Final = 31_536_000
"""Seconds for which a failed mail is kept with its payload: RQ's own year."""

FEEDBACK_TTL: Final = 1_209_600
"""Seconds for which it is known what became of a mail, from its latest event on: two weeks."""

CANCELED_TTL: Final = 86_400
"""Seconds for which a canceled mail is kept, to be looked at; its key is free at once."""

OnUnknown = Literal["resend", "hold"]
ON_UNKNOWN: Final[tuple[OnUnknown, ...]] = get_args(OnUnknown)
"""What may become of a mail that SES may have accepted."""

SUPPRESSED: Final = "Suppressed"
"""Code of a mail that wasn't sent because of the suppression list; addresses stand behind a colon."""

OnSuppressed = Literal["fail", "drop", "off"]
"""What may become of a mail to suppressed addresses: it fails, or it goes to the others, or to all."""

Priority = Literal["high", "normal", "bulk"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
"""The most urgent first; each has a queue of its own."""

FAILED_GRACE: Final = 3600
"""Seconds by which a failed mail's job outlives its place in the failed registry.

RQ's requeue leaves the job's time to live on it: the mail must not end in the queue before anybody comes by.
"""

YEARS: Final = 315_360_000
"""Ten of them in seconds: more is a mistake, wherever a time is asked for."""

KEY_FIELD: Final = "rq_ses_key"
"""Field of the job's hash: `DIGEST:NONCE` of a message sent with an idempotency key."""

RECIPIENTS_FIELD: Final = "rq_ses_recipients"
"""Field of the job's hash: how many recipients the mail has, which is what SES's limits count; absent: 1."""

CAMPAIGN_FIELD: Final = "rq_ses_campaign"
"""Field of the job's hash: the name of the campaign whose entries it sends (rq_ses.campaign.bulkjob)."""

EXECUTION_FIELD: Final = "rq_ses_execution"
"""Field of the job's hash: the execution of ours that it is started by; behind a "-" once that is over."""

PARTS_FIELD: Final = "rq_ses_parts"
"""Field of a bulk job's hash: what is left to do of a split (split.lua)."""

SINCE_FIELD: Final = "rq_ses_since"
"""Field of the job's hash: when it took its key over from another mail (epoch seconds of the server)."""

RESENT_FIELD: Final = "rq_ses_resent_at"
"""Field of the job's hash: when it was resent last (epoch seconds of the server)."""

ACCEPTED_FIELD: Final = "rq_ses_accepted"
"""Field of a started job's hash: RQ's result of a copy that SES has accepted, as an event of SES's told."""

ACCOUNT_FIELD: Final = "rq_ses_account"
"""Field of a worker's hash: `ACCOUNT:REGION` of the gate it goes by."""

THREADS_FIELD: Final = "rq_ses_threads"
"""Field of a worker's hash: how many mails it sends at a time."""

RETRIED_FIELD: Final = "rq_ses_retried"
"""Field of a worker's hash: how many attempts it has made that are to be made again."""

JOB_TAG: Final = "rq-ses-job"
"""Name of the tag with the job's id that every mail has in SES, whose events bring it back."""

KEY_MEMORY: Final = 86_400
"""Seconds an idempotency key is remembered at least after its mail was sent."""

CLEANUP_GRACE: Final = 86_400
"""Seconds after our lease at which RQ's own clean-up would fail a started job; reclaim comes long before."""

CLAIM_BYTES: Final = 8 * 1024 * 1024
"""Payload after which one claim stops, whatever the number of idle threads."""

DATE_SIZE: Final = 27
"""Characters of a date in RQ's form (rq_ses.rqdate)."""

FLOW_NAMES: Final = (
    *("mails", "recipients", "bad"),
    *("a_at", "a_mails", "a_recipients", "a_bad", "b_at", "b_mails", "b_recipients", "b_bad"),
    *("tokens", "filled_at", "fixed", "rate", "low", "top", "lowered_at"),
    *("quota", "used", "counted", "mark", "ask_at", "answered", "refused"),
    *("passed", "preferred", "turn"),
)
"""The numbers in the field `flow` of an account's gate, in their order; account/gate.lua says what they are.

Old builds read them: their order stays.
"""

FLOW_FORMAT: Final = ">" + "d" * len(FLOW_NAMES)
"""How they are packed, in the words of both Python's struct and Lua's."""

RATE_GROWTH: Final = 0.05
"""Share of what it was by which a lowered rate grows in a second."""

RATE_FORGOTTEN: Final = 2
"""How often it must have been reached for a lowering to be over where there is no other bound."""

QUOTA_DAY: Final = 86_400
"""Seconds for which SES's answer about the day's quota counts."""

LUA_CONSTANTS: Final[Mapping[str, int | float | str]] = {
    "FAILED_GRACE": FAILED_GRACE,
    "JOB_TIMEOUT": str(JOB_TIMEOUT),
    "KEY_FIELD": KEY_FIELD,
    "RECIPIENTS_FIELD": RECIPIENTS_FIELD,
    "CAMPAIGN_FIELD": CAMPAIGN_FIELD,
    "EXECUTION_FIELD": EXECUTION_FIELD,
    "ACCEPTED_FIELD": ACCEPTED_FIELD,
    "PARTS_FIELD": PARTS_FIELD,
    "SINCE_FIELD": SINCE_FIELD,
    "RESENT_FIELD": RESENT_FIELD,
    "RETRIED_FIELD": RETRIED_FIELD,
    "RESULT_TTL": RESULT_TTL,
    "FAILURE_TTL": FAILURE_TTL,
    "CANCELED_TTL": CANCELED_TTL,
    "KEY_MEMORY": KEY_MEMORY,
    "RECEIPT_DATA": json.dumps([JOB_FUNCTION, None, [], {}]),
    "CLEANUP_GRACE": CLEANUP_GRACE,
    "CLAIM_BYTES": CLAIM_BYTES,
    "DATE_SIZE": DATE_SIZE,
    "FLOW_FORMAT": FLOW_FORMAT,
    "FLOW_SIZE": 8 * len(FLOW_NAMES),
    "FLOW_NUMBERS": len(FLOW_NAMES),
    "RATE_GROWTH": RATE_GROWTH,
    "RATE_FORGOTTEN": RATE_FORGOTTEN,
    "QUOTA_DAY": QUOTA_DAY,
}
"""What Lua scripts share with Python, by the names that stand for it in their texts (rq_ses.server.script).

RECEIPT_DATA is the `data` of a receipt.
"""

DEFAULT_ACCOUNT: Final = "default"
"""Name of the SES account whose gate a worker goes by, where none is set."""

BULK_ENTRIES: Final = 50
"""Entries that a bulk job has at most: those of one request (SES v2 API, SendBulkEmail)."""

HELD_ENTRIES: Final = 10
"""Entries of one request at most where those in doubt are held: no answer puts all of a request in doubt."""

DESCRIPTION_LIMIT: Final = 120
"""Characters."""

_QUEUE: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]{0,98}[A-Za-z0-9_])?")
"""rq-dashboard prints the names of queues unescaped, so none may hold markup."""


def checked_queue(name: str) -> str:
    """Return `name`, which can be a queue's. Raises ValueError for any other."""
    if not isinstance(name, str) or not _QUEUE.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not the name of a queue: "
            "use 1-100 ASCII letters, digits, underscores, and inside also . : -"
        )
    return name


def queue_name(queue: str, priority: Priority) -> str:
    """Return the RQ queue of a priority: `mail-high`, `mail`, `mail-bulk`."""
    return queue if priority == "normal" else f"{queue}-{priority}"


def queue_names(queue: str, priorities: Sequence[Priority] = PRIORITIES) -> tuple[str, ...]:
    """Return the RQ queues of the priorities, the most urgent first."""
    return tuple(queue_name(queue, priority) for priority in PRIORITIES if priority in priorities)


_LETTERS: Final = bytes.maketrans(b"+/", b"Az")
"""Of base64's signs, those that are neither letters nor digits, and what stands for them."""


def random_name(size: int) -> str:
    """Return random ASCII letters and digits: so many bytes of chance, in a third more characters."""
    return b2a_base64(os.urandom(size), newline=False).translate(_LETTERS, b"=").decode()


JOB_ID: Final = re.compile(rb"[0-9A-Za-z]{22}|[0-9a-f]{32}")
"""Of a mail without a key, and with one, or of a build before; none of RQ's own jobs has such a one."""


def new_job_id() -> str:
    """Return the id of a job without a key: 22 random letters and digits."""
    return random_name(16)


def keyed_job_id(queue: str, key: str) -> str:
    """Return the job id that `key` stands for on this queue: the same key is always the same job."""
    return hashlib.blake2b(f"{queue}\0{key}".encode(), digest_size=16, person=b"rq-ses-key").hexdigest()


def digest(payload: bytes) -> str:
    """Return what tells two messages under one key apart."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def description(recipients: Sequence[str], subject: str) -> str:
    """Return what RQ's tools show of the job: "to → subject", bounded, neither markup nor controls."""
    to = one_line(recipients[0], DESCRIPTION_LIMIT // 2) if recipients else "?"
    if len(recipients) > 1:
        to = f"{to} (+{len(recipients) - 1})"
    return f"{to} → {one_line(subject, DESCRIPTION_LIMIT - len(to) - 3)}"
