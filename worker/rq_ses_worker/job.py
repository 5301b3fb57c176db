"""The function the queue names, `rq_ses_worker.job.send`, as a stock `rq worker` runs it.

Our own worker doesn't call it: it makes the same attempt and decides by the same rules (task, ses, retry),
with stronger transitions around them. Here RQ's own ones are used, with RQ's guarantees: a retry is RQ's
Retry, which needs a scheduler (`rq worker --with-scheduler`) and may come up to a second early or late.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from rq import Retry, get_current_job

from rq_ses.contract import OnUnknown
from rq_ses_worker.outcome import Outcome, Sent, Terminal, hinted
from rq_ses_worker.retry import Failed, History, RetryPolicy, decide, expired
from rq_ses_worker.sending import result_of
from rq_ses_worker.ses import SesClient
from rq_ses_worker.settings import load_worker_settings
from rq_ses_worker.task import JobRefused, Task, read_call


class SendFailed(Exception):
    """Raised when a mail can't be sent; its text is the line for the failed registry, and a hint."""


def send(
    payload: Mapping[str, Any], *, expires: float | None = None, on_unknown: OnUnknown | None = None
) -> dict[str, str | None] | Retry:
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
    stored = job.get_meta(refresh=False) if job else {}
    # A requeue by RQ keeps meta: what was final then starts anew now.
    history = History.from_stored(stored, fresh=bool(stored.get("final")))
    try:
        outcome, attempted = _attempt(
            client, read_call([payload], {"expires": expires, "on_unknown": on_unknown})
        )
    except JobRefused as exc:
        raise SendFailed(hinted(str(exc), Terminal(code=exc.code))) from None
    ended = time.time()
    if attempted:
        history = history.after(outcome, ended)
    line, result = _ending(outcome, history, policy.for_mail(on_unknown), ended, expires)
    if job:
        job.meta = {**history.to_meta(outcome), **({"final": True} if line else {})}
        job.save_meta()
    if line:
        raise SendFailed(line)
    return result


def _ending(
    outcome: Outcome, history: History, policy: RetryPolicy, ended: float, expires: float | None
) -> tuple[str, dict[str, str | None] | Retry]:
    """Return the text of a mail that failed for good ("" if it didn't), and what RQ shall have otherwise."""
    if isinstance(outcome, Sent):
        return "", result_of(outcome)
    decision = decide(outcome, history, policy, ended=ended, expires=expires)
    if isinstance(decision, Failed):
        return hinted(decision.line, outcome), {}
    # RQ knows whole seconds, and would fail the job without a word at a bound of its own.
    return "", Retry(max=1_000_000, interval=max(1, math.ceil(decision.delay)))


def _attempt(client: SesClient, task: Task) -> tuple[Outcome, bool]:
    if task.expires is not None and time.time() >= task.expires:
        return expired(), False
    return client.send(task.message), True


@cache
def _sender() -> tuple[SesClient, RetryPolicy]:
    settings = load_worker_settings()
    return settings.client(), settings.policy()
