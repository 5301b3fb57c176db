"""What producer and worker agree on, written once: names, keys, the form of a job.

Everything RQ reads is in RQ's form (RQ 3.0: Job.restore, Queue, the registries); what is ours alone lives
under `rq:ses:`. RQ's own prefix (RQ_KEY_PREFIX) is honoured.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from rq.defaults import RQ_KEY_PREFIX
from rq.serializers import JSONSerializer

from rq_ses.text.invalid import shown
from rq_ses.text.plaintext import one_line

try:  # the extra "fast": the same format in a third of the time
    from isal.isal_zlib import compress
except ImportError:
    from zlib import compress

DEFAULT_QUEUE: Final = "mail"
JOB_FUNCTION: Final = "rq_ses_worker.job.send"
SERIALIZER: Final = JSONSerializer
"""Never pickle: whoever can write to Redis could run code in the worker."""

JOB_TIMEOUT: Final = 3600
"""Seconds a stock `rq worker` lets the job run: more than two exchanges with SES (the second with a corrected
signature) take by any setting of RQ_SES_TIMEOUT and RQ_SES_MIN_UPLOAD_RATE, which end them far sooner."""

RESULT_TTL: Final = 86_400
"""Seconds for which the receipt of a sent mail is kept."""

FAILURE_TTL: Final = 31_536_000
"""Seconds for which a failed mail is kept with its payload: RQ's own year."""

CANCELED_TTL: Final = 86_400
"""Seconds for which a canceled mail is kept, to be looked at; its key is free at once."""

OnUnknown = Literal["resend", "hold"]
ON_UNKNOWN: Final[tuple[OnUnknown, ...]] = get_args(OnUnknown)
"""What may become of a mail that SES may have accepted."""

Priority = Literal["high", "normal", "bulk"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
"""The most urgent first; each has a queue of its own."""

FAILED_GRACE: Final = 3600
"""Seconds by which a failed mail's job outlives its place in the failed registry.

RQ's requeue leaves the job's time to live on it: the mail must not end in the queue before anybody comes by.
"""

LUA_CONSTANTS: Final = f"local FAILED_GRACE = {FAILED_GRACE}\n"
"""Put in front of the Lua scripts that need them: numbers that they share with Python."""

YEARS: Final = 315_360_000
"""Ten of them in seconds: more is a mistake, wherever a time is asked for."""

KEY_FIELD: Final = "rq_ses_key"
"""Field of the job's hash: `DIGEST:NONCE` of a message sent with an idempotency key."""

RECIPIENTS_FIELD: Final = "rq_ses_recipients"
"""Field of the job's hash: how many recipients the mail has, which is what SES's limits count; absent: 1."""

RESENT_FIELD: Final = "rq_ses_resent_at"
"""Field of the job's hash: when it was resent last (epoch seconds of the server)."""

ACCOUNT_FIELD: Final = "rq_ses_account"
"""Field of a worker's hash: `ACCOUNT:REGION` of the gate it goes by."""

THREADS_FIELD: Final = "rq_ses_threads"
"""Field of a worker's hash: how many mails it sends at a time."""

RETRIED_FIELD: Final = "rq_ses_retried"
"""Field of a worker's hash: how many attempts it has made that are to be made again."""

KEY_MEMORY: Final = 86_400
"""Seconds an idempotency key is remembered at least after its mail was sent."""

DEFAULT_ACCOUNT: Final = "default"
"""Name of the SES account whose gate a worker goes by, where none is set."""

DESCRIPTION_LIMIT: Final = 120
"""Characters."""

PREFIX: Final = f"{RQ_KEY_PREFIX}:"
JOB_PREFIX: Final = f"{PREFIX}job:"
EXECUTION_PREFIX: Final = f"{PREFIX}execution:"
"""Hash of an execution, by `JOB:EXECUTION`."""
EXECUTIONS_PREFIX: Final = f"{PREFIX}executions:"
"""Sorted set of a job's executions, by the job's id."""
RESULTS_PREFIX: Final = f"{PREFIX}results:"
"""Stream of RQ's Results of a job, by the job's id."""
WORKER_PREFIX: Final = f"{PREFIX}worker:"
"""Hash of a worker, by its name."""
WORKERS_KEY: Final = f"{PREFIX}workers"
"""Set of the keys of all workers that are, or were, registered."""
QUEUES_KEY: Final = f"{PREFIX}queues"
"""Set of the keys of all queues; RQ's."""
SUSPENDED_KEY: Final = f"{PREFIX}suspended"
"""Is there while `rq suspend` holds all workers."""
SCRATCH_KEY: Final = f"{PREFIX}ses:scratch"
"""Scratch key: scripts delete it first, which a server that takes no writes refuses, and build there what
they then rename.

Between two scripts it never stands, and each declares it: so a cluster that is moving our slot elsewhere
refuses a script as a whole (TRYAGAIN, ASK), whatever has gone ahead, and breaks none off half-way.
"""

DURABLE_KEY: Final = f"{PREFIX}ses:durable"
"""String that every durable call writes last, so that WAIT and WAITAOF have a write to speak of."""

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


def queue_key(queue: str) -> str:
    """List of the ids of a queue's jobs."""
    return f"{PREFIX}queue:{queue}"


def intermediate_key(queue: str) -> str:
    """List in which a stock worker keeps a job it has taken and not yet started."""
    return f"{queue_key(queue)}:intermediate"


def workers_key(queue: str) -> str:
    """Set of the keys of the workers that are, or were, at a queue."""
    return f"{WORKERS_KEY}:{queue}"


def registry_key(kind: str, queue: str) -> str:
    """Return the key of one of RQ's registries: wip, scheduled, finished, failed, canceled, deferred."""
    return f"{PREFIX}{kind}:{queue}"


def leases_key(queue: str) -> str:
    """Sorted set of `JOB:EXECUTION` by the time (epoch seconds) at which the lease runs out."""
    return f"{PREFIX}ses:leases:{queue}"


def account_key(account: str, region: str) -> str:
    """Hash of an SES account's gate: its breaker, its bucket, its quota."""
    return f"{PREFIX}ses:account:{account}:{region}"


def wake_channel(queue: str) -> str:
    """Pub/sub channel that tells idle workers that an empty queue has a job again."""
    return f"{PREFIX}ses:wake:{queue}"


def new_job_id() -> str:
    """Return the id of a job without a key: 32 random hexadecimal digits."""
    return os.urandom(16).hex()


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


def encode_job(payload: bytes, options: Mapping[str, Any]) -> bytes:
    """Return RQ's `data` of a job that sends `payload` (a Message as JSON), deflated as RQ itself does."""
    extra = json.dumps(dict(options)).encode() if options else b"{}"
    return compress(b'["%s",null,[%s],%s]' % (JOB_FUNCTION.encode(), payload, extra), 1)
