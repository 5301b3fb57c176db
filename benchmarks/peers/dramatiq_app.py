"""dramatiq's actors: one sends by boto3, one by urllib3 and our signer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import Retry

broker = RedisBroker(url=os.environ["BENCH_REDIS_URL"])
dramatiq.set_broker(broker)


def _done(status: int) -> None:
    if status == 503:
        raise Retry(delay=1000)


@dramatiq.actor(actor_name="boto3")  # type: ignore[untyped-decorator]
def by_boto3(request: Mapping[str, Any]) -> None:
    """Send one mail."""
    from benchmarks.peers import boto

    _done(boto.send(request))


@dramatiq.actor(actor_name="urllib3")  # type: ignore[untyped-decorator]
def by_urllib3(request: Mapping[str, Any]) -> None:
    """Send one mail."""
    # Imported here so that the other actor's process doesn't hold what it doesn't need.
    from benchmarks.peers import signed

    _done(signed.by_urllib3(request))
