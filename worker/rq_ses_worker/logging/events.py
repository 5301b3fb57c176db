"""What a worker logs: every event by name, with its level, its sentence and its fields.

docs/events.md lists them for those who read logs; a test compares the two, and that each is logged somewhere.
They go through the standard library's logging, so that any handler may take them; their form is given them by
rq_ses_worker.logging.rendering.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any, Final

_NAMED: Final = re.compile(r"%\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event; `sentence` is %-formatted with the fields it names, `others` are told beside it."""

    name: str
    level: int
    sentence: str
    others: tuple[str, ...] = ()

    @property
    def said(self) -> frozenset[str]:
        """The fields that the sentence tells."""
        return frozenset(_NAMED.findall(self.sentence))

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields."""
        return (*dict.fromkeys(_NAMED.findall(self.sentence)), *self.others)

    def log(
        self, logger: logging.Logger, *, level: int | None = None, trace: bool = False, **fields: Any
    ) -> None:
        """Log the event with its fields; with `trace`, and the exception that is being handled."""
        level = self.level if level is None else level
        if logger.isEnabledFor(level):
            extra = {"rq_ses_event": self, "rq_ses_fields": fields}
            args = (fields,) if fields else ()
            logger.log(level, self.sentence, *args, exc_info=trace, extra=extra)


# Mails

_ATTEMPT: Final = ("queue", "attempt", "to", "campaign", "entries")
_ANSWER: Final = ("outcome", "code", "status", "request_id")

MAIL_SENT: Final = Event("mail.sent", INFO, "job %(job_id)s: sent", ("message_id", *_ATTEMPT))
BULK_DIVIDED: Final = Event(
    "bulk.divided",
    INFO,
    "job %(job_id)s: of %(entries)d entries of %(campaign)s %(sent)d were sent, %(again)d are tried again, "
    "%(failed)d failed",
    ("queue", "attempt"),
)
MAIL_RETRIED: Final = Event(
    "mail.retried", INFO, "job %(job_id)s: again in %(delay).10g s: %(error)s", (*_ATTEMPT, *_ANSWER)
)
MAIL_FAILED: Final = Event(
    "mail.failed", WARNING, "job %(job_id)s: failed: %(error)s", ("hint", *_ATTEMPT, *_ANSWER)
)
MAIL_SUPPRESSED: Final = Event(
    "mail.suppressed", WARNING, "job %(job_id)s: sent, but not to %(suppressed)s: on the suppression list"
)
MAIL_BACK: Final = Event("mail.back", INFO, "job %(job_id)s: back in its queue", ("queue",))
MAIL_CONTESTED: Final = Event(
    "mail.contested", WARNING, "job %(job_id)s: %(action)s, but %(why)s", ("word", "message_id", *_ATTEMPT)
)
MAIL_DOUBTED: Final = Event(
    "mail.doubted", WARNING, "job %(job_id)s: its lease may have run out before it was sent; given back"
)
MAIL_RECLAIMED: Final = Event("mail.reclaimed", WARNING, "job %(job_id)s: %(error)s", ("lost_worker",))
MAIL_ABANDONED: Final = Event(
    "mail.abandoned", WARNING, "job %(job_id)s, begun by a worker of RQ's own: %(found)s → %(done)s"
)
MAIL_ADOPTED: Final = Event("mail.adopted", INFO, "job %(job_id)s: claimed by a call whose answer was lost")
MAIL_UNPREPARED: Final = Event(
    "mail.unprepared",
    WARNING,
    "job %(job_id)s: given back, since Redis couldn't be asked for what it needs: %(error)s",
)
MAIL_RAISED: Final = Event("mail.raised", ERROR, "job %(job_id)s: %(step)s raised")
MAIL_UNSETTLED: Final = Event(
    "mail.unsettled",
    ERROR,
    "job %(job_id)s: the worker ends, its outcome (%(action)s) is not settled; reclaim will end it",
    ("error", "message_id", *_ATTEMPT, *_ANSWER),
)
MAIL_LEFT: Final = Event(
    "mail.left", ERROR, "job %(job_id)s: the worker ends, and how its attempt ended is not known"
)
OUTCOME_SET_ASIDE: Final = Event(
    "outcome.set_aside",
    ERROR,
    "job %(job_id)s: its outcome (%(action)s) can't be written and is set aside; reclaim will end it",
    ("error", "message_id", *_ATTEMPT, *_ANSWER),
)
OUTCOMES_UNWRITABLE: Final = Event(
    "outcomes.unwritable", ERROR, "%(outcomes)d outcomes can't be written as they are"
)
IDS_DROPPED: Final = Event(
    "queue.ids_dropped", WARNING, "%(ids)d ids without a queued job were dropped from the queue"
)
MAILS_KEPT: Final = Event(
    "queue.mails_kept",
    WARNING,
    "%(mails)d mails of %(queue)s would have expired before they were sent (requeued?); now they don't",
)
CAMPAIGNS_FORGOTTEN: Final = Event(
    "campaigns.forgotten", INFO, "%(campaigns)d campaigns ended a week ago and are forgotten"
)

# The worker

WORKER_SENDS: Final = Event(
    "worker.sends", INFO, "mails go to %(host)s%(given)s, signed for %(region)s", ("via",)
)
SETTINGS_UNUSED: Final = Event(
    "settings.unused", WARNING, "not used, since the key comes from %(place)s: %(names)s"
)
QUEUE_UNSERVED: Final = Event(
    "queue.unserved",
    WARNING,
    "%(finding)s: %(remedy)s",
    ("queue", "mails"),
)
WORKER_STARTED: Final = Event(
    "worker.started",
    INFO,
    "sending mails of %(queues)s with %(threads)d threads",
    ("worker", "account", "version"),
)
WORKER_RENAMED: Final = Event(
    "worker.renamed",
    WARNING,
    "a worker named %(taken)s is still registered (killed?); this one is %(worker)s",
)
WORKER_SUSPENDED: Final = Event(
    "worker.suspended", WARNING, "suspended%(by)s: nothing is claimed; to go on: %(remedy)s"
)
WORKER_RESUMED: Final = Event("worker.resumed", WARNING, "resumed")
WORKER_DEAF: Final = Event("worker.deaf", ERROR, "listening for commands failed: %(error)s")
WORKER_HEARTBEAT_FAILED: Final = Event("worker.heartbeat_failed", ERROR, "the heartbeat failed; it goes on")
WORKER_UNSEEN: Final = Event(
    "worker.unseen",
    WARNING,
    "Redis doesn't register the worker (%(error)s): RQ's tools don't show it, mails are sent all the same",
)
COMMAND_OBEYED: Final = Event("command.obeyed", INFO, "RQ's command %(command)s")
COMMAND_REFUSED: Final = Event(
    "command.refused", WARNING, "RQ's command %(command)s: %(answer)s", ("job_id",)
)
PART_DIED: Final = Event(
    "worker.part_died", ERROR, "the worker's %(part)s has died; the worker ends, its mails go to others"
)
WORKER_DENIED: Final = Event("worker.denied", ERROR, "%(error)s; the worker ends")
SWEEP_FAILED: Final = Event(
    "worker.sweep_failed", ERROR, "the clean-up of registries failed (%(error)s); the next is in a minute"
)
WORKER_STOPPING: Final = Event("worker.stopping", INFO, "stopping: %(mails)d mails are being sent")
WORKER_LEFT: Final = Event(
    "worker.left", WARNING, "Redis is away (%(error)s); the worker's registration expires by itself"
)
WORKER_LEAVING_FAILED: Final = Event(
    "worker.leaving_failed", ERROR, "leaving failed (%(error)s); the worker's registration expires by itself"
)
CLAIM_LEFT: Final = Event(
    "worker.claim_left", WARNING, "Redis is away (%(error)s); what a lost claim took is left to reclaim"
)
ALONG_RAISED: Final = Event(
    "worker.along_raised", ERROR, "what was written along with a claim raised; the claim stands"
)
BURST_ENDED: Final = Event(
    "burst.ended",
    INFO,
    "burst over: %(sent)d sent, %(failed)d failed; %(scheduled)s scheduled, %(left)s left in the queue",
)
PROCESS_FAILED: Final = Event("process.failed", ERROR, "%(process)s failed")
PROCESS_RESTARTED: Final = Event(
    "process.restarted", ERROR, "%(process)s %(how)s; it is started anew in %(pause).10g s"
)
MONITOR_LISTENS: Final = Event(
    "monitor.listens", INFO, "metrics and health at %(url)s/metrics, /healthz, /readyz"
)
MONITOR_FAILED: Final = Event("monitor.failed", DEBUG, "a request to the monitor failed")

TRACING_UNSEEN: Final = Event(
    "tracing.unseen",
    WARNING,
    "RQ_SES_TRACING is on, and nobody takes the spans: start with opentelemetry-instrument",
)

# Redis

REDIS_AWAY: Final = Event("redis.away", ERROR, "Redis is away (%(error)s); %(meanwhile)s")
REDIS_REFUSES: Final = Event("redis.refuses", ERROR, "Redis refuses (%(error)s); %(meanwhile)s%(remedy)s")
REDIS_BACK: Final = Event("redis.back", WARNING, "Redis is back after %(seconds).1f s")
REDIS_UNFIT: Final = Event("redis.unfit", WARNING, "Redis: %(finding)s")

# The account

BREAKER_OPENED: Final = Event("breaker.opened", WARNING, "breaker open: %(reason)s")
BREAKER_PROBES: Final = Event("breaker.probes", INFO, "breaker half-open: probing with job %(job_id)s")
BREAKER_CLOSED: Final = Event("breaker.closed", WARNING, "breaker closed%(after)s")
QUOTA_USED_UP: Final = Event("quota.used_up", WARNING, "%(state)s: mails wait in the queue")
QUOTA_LEFT: Final = Event("quota.left", WARNING, "daily quota: there is something left again")
GATE_UNTOLD: Final = Event(
    "gate.untold", ERROR, "the account's gate can't learn how attempts ended: %(error)s"
)
MESSAGES_UNINDEXED: Final = Event(
    "messages.unindexed",
    ERROR,
    "which mails SES's ids are can't be kept, so events without tags won't find them: %(error)s",
)
LIMITS_TOLD: Final = Event(
    "limits.told", INFO, "SES allows %(rate).10g recipients a second, %(daily)s in 24 hours"
)
LIMITS_REFUSED: Final = Event(
    "limits.refused", WARNING, "SES does not tell the account's send rate and quota (%(error)s): %(remedy)s"
)
LIMITS_UNKEPT: Final = Event("limits.unkept", WARNING, "the account's limits can't be kept: %(error)s")
LIMITS_RAISED: Final = Event("limits.raised", ERROR, "asking SES for the account's limits failed")

# Credentials

CREDENTIALS_FOUND: Final = Event("credentials.found", INFO, "credentials: %(source)s")
CREDENTIALS_AWAITED: Final = Event("credentials.awaited", WARNING, "mails wait until there are credentials")
CREDENTIALS_MISSED: Final = Event(
    "credentials.missed", WARNING, "credentials could not be fetched: %(error)s%(left)s"
)
CREDENTIALS_BACK: Final = Event("credentials.back", INFO, "credentials are available again: %(source)s")

# Hooks

HOOK_LOADED: Final = Event("hook.loaded", INFO, "outcomes are told to %(name)s (%(target)s)")
HOOK_REFUSED: Final = Event(
    "hook.refused", WARNING, "%(group)s didn't take %(outcomes)d outcomes (%(error)s); it is told again"
)
HOOK_GAVE_UP: Final = Event(
    "hook.gave_up",
    ERROR,
    "%(group)s is not told any more of job %(job_id)s: %(kind)s, outcome %(id)s",
)
HOOK_WAITS: Final = Event("hook.waits", WARNING, "Redis: %(error)s; outcomes for %(group)s wait")
HOOK_RAISED: Final = Event("hook.raised", ERROR, "telling %(group)s of outcomes raised (%(error)s)")
HOOKS_FULL: Final = Event(
    "hook.full",
    ERROR,
    "%(outcomes)d outcomes stand for hooks, as many as RQ_SES_OUTCOMES_MAX: the oldest are dropped untold; "
    "%(group)s or another group doesn't read (rq-ses status)",
)

# The SMTP ingress

SMTP_LISTENS: Final = Event(
    "smtp.listens", INFO, "taking mails for %(queue)s on %(address)s", ("tls", "users")
)
SMTP_TAKEN: Final = Event(
    "smtp.taken",
    INFO,
    "job %(job_id)s: taken from %(client)s",
    ("sender", "recipients", "size", "repeated"),
)
SMTP_REFUSED: Final = Event("smtp.refused", INFO, "%(client)s was answered: %(reply)s", ("reason", "about"))
SMTP_LOGIN_FAILED: Final = Event(
    "smtp.login_failed", WARNING, "%(client)s gave a wrong name or password", ("user",)
)
SMTP_TLS_FAILED: Final = Event("smtp.tls_failed", INFO, "a client's STARTTLS failed (%(error)s)")
SMTP_RAISED: Final = Event("smtp.raised", ERROR, "a step of a session raised; it was answered with 451")
SMTP_REREAD: Final = Event("smtp.reread", WARNING, "users and certificate were read anew", ("users",))
SMTP_NOT_REREAD: Final = Event("smtp.not_reread", ERROR, "users and certificate stay as they were: %(error)s")
SMTP_STOPPING: Final = Event("smtp.stopping", INFO, "stopping: %(connections)d clients are connected")

# Feedback

FEEDBACK_LISTENS: Final = Event(
    "feedback.listens", INFO, "taking messages of %(topics)d topics of SNS on %(address)s"
)
FEEDBACK_READS: Final = Event(
    "feedback.reads", INFO, "taking messages of %(topics)d topics of SNS out of %(queue)s", ("region",)
)
FEEDBACK_STORED: Final = Event(
    "feedback.stored",
    INFO,
    "%(kind)s of %(message_id)s: %(word)s",
    ("type", "subtype", "to", "job_id", "resolved", "topic"),
)
FEEDBACK_UNKNOWN: Final = Event(
    "feedback.unknown",
    WARNING,
    "%(kind)s is new among SES's events: counted and kept, and nothing follows from it",
)
FEEDBACK_RESOLVED: Final = Event(
    "feedback.resolved",
    WARNING,
    "job %(job_id)s: was in doubt, and SES's %(kind)s says that it was sent: finished",
    ("message_id",),
)
FEEDBACK_NOTED: Final = Event("feedback.noted", INFO, "SNS: %(text)s", ("topic",))
FEEDBACK_UNREAD: Final = Event("feedback.unread", ERROR, "SNS: %(text)s", ("topic",))
FEEDBACK_SUBSCRIBED: Final = Event("feedback.subscribed", WARNING, "SNS: %(text)s", ("topic",))
FEEDBACK_UNSUBSCRIBED: Final = Event("feedback.unsubscribed", ERROR, "SNS: %(text)s", ("topic",))
FEEDBACK_REFUSED: Final = Event(
    "feedback.refused", WARNING, "a message was answered with %(status)d: %(text)s", ("topic",)
)
FEEDBACK_UNSTORED: Final = Event(
    "feedback.unstored",
    ERROR,
    "a message was answered with %(status)d, so that it comes again: %(text)s",
    ("topic", "kind", "message_id"),
)
FEEDBACK_LEFT: Final = Event(
    "feedback.left", ERROR, "message %(sqs_id)s is left in its queue, seen %(times)d times: %(text)s"
)
FEEDBACK_QUEUE_AWAY: Final = Event(
    "feedback.queue_away", ERROR, "the queue can't be read (%(error)s); it is tried again"
)
FEEDBACK_QUEUE_BACK: Final = Event("feedback.queue_back", WARNING, "the queue can be read again")
FEEDBACK_STOPPING: Final = Event("feedback.stopping", INFO, "stopping: what is being stored is stored")

CATALOGUE: Final = tuple(value for value in list(globals().values()) if isinstance(value, Event))
"""All events, in the order of docs/events.md."""

LIBRARY: Final = "library"
"""Name that stands for what RQ, redis-py, urllib3 and others log by themselves."""
