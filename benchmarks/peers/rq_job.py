"""RQ's job: a function that sends by boto3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rq import Retry

from benchmarks.peers import boto


def send(request: Mapping[str, Any]) -> Retry | int:
    """Send one mail; after a refusal RQ's scheduler tries again."""
    status = boto.send(request)
    if status == 503:
        return Retry(max=10, interval=1)
    return status
