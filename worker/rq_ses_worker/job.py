"""The function the queue names, `rq_ses_worker.job.send`, as a stock `rq worker` runs it.

Our own worker doesn't call it: it walks the same steps (rq_ses_worker.engine.attempt), with stronger
transitions around them. Here RQ's own ones are used, with RQ's guarantees: a retry is RQ's
Retry, which needs a scheduler (`rq worker --with-scheduler`) and may come up to a second early or late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from redis.exceptions import RedisError
from rq import Retry, get_current_job
from rq.job import Job

from rq_ses.contract import OnUnknown
from rq_ses.message.reading import AnyMessage
from rq_ses.server.serverclock import ServerClock
from rq_ses.suppression import Suppressed
from rq_ses.suppression.lookup import Lookup
from rq_ses_worker.engine.attempt import Attempt, Decision, Finished, judge
from rq_ses_worker.lifecycle.retry import Again, Failed, History, RetryPolicy, lost_worker
from rq_ses_worker.lifecycle.task import JobRefused, read_call
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.outcome import Terminal, hinted
from rq_ses_worker.settings.worker import load_worker_settings


class SendFailed(Exception):
    """Raised when a mail can't be sent; its text is the line for the failed registry, and a hint."""


def send(
    payload: Mapping[str, Any], *, expires: float | None = None, on_unknown: OnUnknown | None = None
) -> dict[str, Any] | Retry:
    """Send one message and return RQ's result: the message id, or a Retry.

    Args:
        payload: a Message as JSON.
        expires: epoch seconds after which it must not be sent.
        on_unknown: what becomes of it when SES may have accepted it; by default what the settings say.

    Raises:
        SendFailed: SES refused it for good, or the bounds of the settings are reached.
        SettingsError: the environment of the worker has no usable settings.
    """
    client, policy = _sender()
    job = get_current_job()
    clock = _clock_of(job)
    stored = job.get_meta(refresh=False) if job else {}
    # A requeue by RQ keeps meta: what was final then starts anew now.
    history = History.from_stored(stored, fresh=bool(stored.get("final")))
    try:
        task = read_call([payload], {"expires": expires, "on_unknown": on_unknown})
    except JobRefused as exc:
        raise SendFailed(hinted(str(exc), Terminal(code=exc.code))) from None
    attempt = Attempt(history, policy.for_mail(task.on_unknown), task.expires)
    if (found := _suppressed(job, policy, task.message)) is None:
        return _for_rq(Again(0.0))
    cleared = attempt.barred(clock) or attempt.cleared(task.message, found)
    if isinstance(cleared, Terminal):
        ending = attempt.ended(cleared, clock.now(), asked=False)
    else:
        message, attempt = cleared
        # A work horse may die at any moment from here on, so the doubt is there before the request leaves.
        _keep(job, attempt.lost(lost_worker(""), clock.now()).meta)
        ending = attempt.ended(client.send(message, job.id if job else ""), clock.now())
    decision = judge(attempt, ending)
    # If Redis takes none, it is as if the answer had been lost.
    with suppress(RedisError):
        _keep(job, {**ending.meta, **({"final": True} if isinstance(decision, Failed) else {})})
    return _for_rq(decision)


def _suppressed(job: Job | None, policy: RetryPolicy, message: AnyMessage) -> dict[str, Suppressed] | None:
    """Return the recipients that are suppressed; None if Redis can't tell."""
    if job is None or policy.suppressed == "off":
        return {}
    try:
        return Lookup(job.connection).suppressed_of(one.lower() for one in message.recipients)
    except RedisError:
        return None


def _keep(job: Job | None, meta: dict[str, Any]) -> None:
    if job:
        job.meta = meta
        job.save_meta()


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
def _sender() -> tuple[SesClient, RetryPolicy]:
    settings = load_worker_settings()
    return settings.client(), settings.policy()
