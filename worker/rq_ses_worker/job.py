"""The function the queue names, `rq_ses_worker.job.send`, as a stock `rq worker` runs it.

Our own worker doesn't call it: it walks the same steps (rq_ses_worker.engine.attempt), with stronger
transitions around them. Here RQ's own ones are used, with RQ's guarantees: a retry is RQ's
Retry, which needs a scheduler (`rq worker --with-scheduler`) and may come up to a second early or late.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError
from rq import Retry, get_current_job
from rq.job import Job

from rq_ses.contract import ACCEPTED_FIELD, FEEDBACK_TTL
from rq_ses.keys import keys_of
from rq_ses.message.reading import AnyMessage
from rq_ses.server.jobdata import inflated
from rq_ses.server.serverclock import ServerClock
from rq_ses.suppression import Suppressed
from rq_ses.suppression.address import folded
from rq_ses.suppression.lookup import Lookup
from rq_ses.text.plaintext import one_line
from rq_ses_worker.campaign.terms import TermsError, TermsUnavailable
from rq_ses_worker.engine.attempt import Attempt, Decision, Ending, Finished, judge
from rq_ses_worker.lifecycle.records import Claim, Lease, Settlement
from rq_ses_worker.lifecycle.retry import Again, Failed, History, RetryPolicy, lost_worker
from rq_ses_worker.lifecycle.task import JobRefused, Task, read_call
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.outcome import Outcome, Sent, Terminal, hinted, summary
from rq_ses_worker.settings.worker import load_worker_settings

if TYPE_CHECKING:
    from rq_ses.campaign.bulkjob import BulkJob
    from rq_ses_worker.engine.bulk.stock import StockJob

PAUSED: Final = 60
"""Seconds after which a job of a paused campaign is looked at again: RQ has no place for it meanwhile."""


class SendFailed(Exception):
    """Raised when a mail can't be sent; its text is the line for the failed registry, and a hint."""


def send(payload: Mapping[str, Any], **options: Any) -> dict[str, Any] | Retry:
    """Send one message, or entries of a campaign, and return RQ's result: the message id, or a Retry.

    Args:
        payload: a Message as JSON, or a bulk job (rq_ses.campaign.bulkjob).
        options: expires (epoch seconds after which it must not be sent), on_unknown (what becomes of it when
            SES may have accepted it; by default what the settings say), and its trace, which ends here.

    Raises:
        SendFailed: SES refused it for good, or the bounds of the settings are reached.
        SettingsError: the environment of the worker has no usable settings.
    """
    client, policy, indexed = _sender()
    job = get_current_job()
    if told := _told(job):
        return told
    clock = _clock_of(job)
    stored = job.get_meta(refresh=False) if job else {}
    # A requeue by RQ keeps meta: what was final then starts anew now.
    history = History.from_stored(stored, fresh=bool(stored.get("final")))
    try:
        task = read_call([payload], options)
    except JobRefused as exc:
        raise SendFailed(hinted(str(exc), Terminal(code=exc.code))) from None
    attempt = Attempt(history, policy.for_mail(task.on_unknown), task.expires)
    if (found := _suppressed(job, policy, task)) is None:
        return _for_rq(Again(0.0))
    if task.bulk and job:
        return _send_bulk(job, task, task.bulk, attempt, clock, found)
    cleared = attempt.barred(clock) or attempt.cleared(task.message, found)
    attempt, ending = _attempted(job, client, clock, attempt, cleared)
    _index(job if indexed else None, ending.outcome)
    decision = judge(attempt, ending)
    # If Redis takes none, it is as if the answer had been lost.
    with suppress(RedisError):
        _keep(job, {**ending.meta, **({"final": True} if isinstance(decision, Failed) else {})})
    return _for_rq(decision)


def _attempted(
    job: Job | None,
    client: SesClient,
    clock: ServerClock,
    attempt: Attempt,
    cleared: tuple[AnyMessage, Attempt] | Terminal,
) -> tuple[Attempt, Ending]:
    """Send a message that may be sent; return the attempt, and how it ended."""
    if isinstance(cleared, Terminal):
        return attempt, attempt.ended(cleared, clock.now(), asked=False)
    message, attempt = cleared
    # A work horse may die at any moment from here on, so the doubt is there before the request leaves.
    _keep(job, attempt.lost(lost_worker(""), clock.now()).meta)
    return attempt, attempt.ended(client.send(message, job.id if job else ""), clock.now())


def _suppressed(job: Job | None, policy: RetryPolicy, task: Task) -> dict[str, Suppressed] | None:
    """Return the recipients that are suppressed; None if Redis can't tell."""
    if job is None or policy.suppressed == "off":
        return {}
    try:
        return Lookup(job.connection).suppressed_of(folded(one) for one in task.recipients)
    except RedisError:
        return None


def _send_bulk(
    job: Job,
    task: Task,
    bulk: BulkJob,
    attempt: Attempt,
    clock: ServerClock,
    found: Mapping[str, Suppressed],
) -> dict[str, Any] | Retry:
    """Send entries of a campaign; return and raise as `send` does."""
    # RQ's workers have mails as a rule.
    from rq_ses_worker.engine.bulk.fates import Moment, settled
    from rq_ses_worker.engine.bulk.stock import StockJob, fitting
    from rq_ses_worker.engine.bulk.suppressing import outcomes_of
    from rq_ses_worker.engine.bulk.told import corrected, lead, told_of

    client, stock = _sender()[0], StockJob(job.connection, job.id, job.origin)
    state = stock.state(bulk)
    if state == "paused":
        return Retry(max=1_000_000, interval=PAUSED)
    if state == "canceled":
        stock.count(bulk.campaign, canceled=len(bulk.entries))
        return {"campaign": bulk.campaign, "entries": [], "canceled": len(bulk.entries)}
    if barred := attempt.barred(clock):
        raise SendFailed(hinted(summary(barred), barred))
    try:
        mailing = stock.mailing(bulk)
    except TermsUnavailable:
        return Retry(max=1_000_000, interval=1)
    except TermsError as exc:
        raise SendFailed(f"{type(exc).__name__}: {exc}") from None
    if division := stock.shed(bulk, task.options, size := fitting(mailing, attempt.policy)):
        job.data, bulk = inflated(division.data), bulk.part(bulk.entries[:size])
    known = told_of(job.connection, job.id, bulk.entries) if attempt.history.ambiguous else {}
    _keep(job, attempt.lost(lost_worker(""), clock.now()).meta)
    outcomes = outcomes_of(bulk, found, lambda entries: mailing.send(client, entries), known)
    outcomes = corrected(job.connection, job.id, bulk.entries, outcomes)
    claim = Claim(Lease(0, job.id, ""), b"", b"", fresh=False, hooked=False)
    ended = settled(claim, task, bulk, attempt, outcomes, Moment(clock.now(), 0.0, 0.0))
    lead(job.connection, job.id, bulk, ended)
    return _ended(job, stock, ended)


def _ended(job: Job, stock: StockJob, ended: Settlement) -> dict[str, Any] | Retry:
    """Write what RQ doesn't of an attempt of a bulk job; return, or raise, what RQ takes for the rest."""
    bulk, failed = ended.bulk, ended.action == "failed"
    if bulk and bulk.division:
        stock.divide(bulk.division)
        job.data = inflated(bulk.division.data)  # RQ writes it once more
    with suppress(RedisError):
        _keep(job, {**ended.meta, **({"final": True} if failed else {})})
        if bulk:
            stock.count(bulk.campaign, sent=len(bulk.deliveries))
    if failed:
        raise SendFailed(ended.fields["exc"])
    if ended.action == "sent":
        result: dict[str, Any] = json.loads(b64decode(ended.fields["result"]))
        return result
    return Retry(max=1_000_000, interval=max(1, math.ceil(ended.fields.get("delay", 0.0))))


def _keep(job: Job | None, meta: dict[str, Any]) -> None:
    if job:
        job.meta = meta
        job.save_meta()


def _told(job: Job | None) -> dict[str, str | None] | None:
    """Return the result of a copy that SES has accepted, as an event told while it was being sent."""
    said = None
    with suppress(RedisError, ValueError):
        if job and (raw := job.connection.hget(job.key, ACCEPTED_FIELD)):
            said = json.loads(b64decode(raw))
    return said if isinstance(said, dict) else None


def _index(job: Job | None, outcome: Outcome) -> None:
    """Keep which mail SES's MessageId is, if Redis takes it (RQ_SES_MESSAGE_INDEX)."""
    if job and isinstance(outcome, Sent) and outcome.message_id:
        with suppress(RedisError):
            key = keys_of(job.connection).message(one_line(outcome.message_id, 120))
            job.connection.set(key, job.id, ex=FEEDBACK_TTL)


def _clock_of(job: Job | None) -> ServerClock:
    """Return the server's clock: that of the host may be wrong."""
    clock = ServerClock()
    if job:
        clock.ask(job.connection)
    return clock


def _for_rq(decision: Decision) -> dict[str, Any] | Retry:
    """Return what RQ takes for this decision: the job's result, or a Retry. Raises SendFailed."""
    if isinstance(decision, Failed):
        raise SendFailed(decision.line)
    if isinstance(decision, Finished):
        return decision.result
    # RQ knows whole seconds, and would fail the job without a word at a bound of its own. Only probes of the
    # breaker are put back, and a stock worker makes none.
    delay = decision.delay if isinstance(decision, Again) else 0.0
    return Retry(max=1_000_000, interval=max(1, math.ceil(delay)))


@cache
def _sender() -> tuple[SesClient, RetryPolicy, bool]:
    settings = load_worker_settings()
    return settings.client(), settings.policy(), settings.message_index
