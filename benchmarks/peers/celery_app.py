"""Celery's task: sends by boto3, and is acknowledged when it has been sent, so that a crash loses nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from celery import Celery

from benchmarks.peers import boto

app = Celery("bench", broker=os.environ.get("BENCH_REDIS_URL"))
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_send_task_events=False)


@app.task(bind=True, name="send", max_retries=10)  # type: ignore[untyped-decorator]
def send(self: Any, request: Mapping[str, Any]) -> None:
    """Send one mail; after a refusal Celery tries again."""
    status = boto.send(request)
    if status == 503:
        raise self.retry(countdown=1)
