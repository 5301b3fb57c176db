"""RQ's commands, as they come through pub/sub: which of them a worker of threads can obey."""

from __future__ import annotations

import json
import logging
import os
import signal
from typing import Any, Final

from rq_ses.text.plaintext import one_line
from rq_ses_worker.lifecycle.leases import Leases
from rq_ses_worker.logging import events

log = logging.getLogger(__name__)

_STOPS: Final = ("stop-job", "stop-execution")


def obey(message: Any, leases: Leases) -> None:
    """Do what a message on the worker's channel says, or log why that can't be done; never raises."""
    try:
        payload = json.loads(message["data"])
        command = payload["command"]
    except (ValueError, TypeError, KeyError, RecursionError):
        events.COMMAND_REFUSED.log(log, command="(unreadable)", answer="it is none of RQ's", job_id=None)
        return
    if command == "shutdown":
        events.COMMAND_OBEYED.log(log, command=command)
        os.kill(os.getpid(), signal.SIGINT)
        return
    job_id = one_line(str(payload.get("job_id", "")), 100) if command in _STOPS else ""
    answer = _refusal(command, job_id, leases)
    events.COMMAND_REFUSED.log(log, command=one_line(str(command), 40), answer=answer, job_id=job_id or None)


def _refusal(command: Any, job_id: str, leases: Leases) -> str:
    if command == "kill-horse":
        return "there is no work horse: mails are sent by threads, of which none can be killed"
    if command not in _STOPS:
        return "not known"
    if not any(lease.job_id == job_id for lease in leases.held()):
        return f"job {job_id} is not being sent by this worker"
    return f"job {job_id} is being sent, which can't be stopped; once it is canceled it is not tried again"
