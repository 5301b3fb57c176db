"""From the simulator's events, checked by its certificate, to what is stored of them in Redis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from rq_ses.feedback.app import Feedback, asgi_app, wsgi_app
from rq_ses.keys import Keys
from rq_ses.suppression.entry import bucket_key
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.ses.simulated import send
from support.waiting import wait_for

CERTIFICATE = "SimpleNotificationService-0a.pem"


@pytest.mark.parametrize("make", [wsgi_app, asgi_app])
def test_events_of_the_simulator_are_stored_once_however_they_come(
    redis: Redis, redis_url: str, tmp_path: Path, make: Callable[..., Any]
) -> None:
    service = Service(
        Options(
            error_shape="header",
            events_certificate=str(tmp_path / CERTIFICATE),
            events_form="both",
            events_signature="2",
            events_repeat=1,
            events_shuffle=True,
            events_subscribed=True,
        )
    )
    topic = service.publisher.topic
    topic.write_certificate()
    feedback = Feedback.from_env(
        topics=[topic.arn], certificates=[str(tmp_path / CERTIFICATE)], redis_url=redis_url
    )
    service.publisher.change({"targets": [make(feedback)]})
    send(service, "bounce.anna@faults.example")
    send(service, "complaint.ben@faults.example")
    # Of the first Send and Bounce, of the second Send, Delivery and Complaint: three of them in both forms.
    wait_for(lambda: [one.taken for one in service.publisher.log.all()] == [True] * 8, what="eight events")
    wait_for(
        lambda: all(two.taken == 2 for one in service.publisher.log.all() for two in one.deliveries.values()),
        what="their repetitions",
    )
    service.publisher.close()
    feedback.close()
    counted: Any = redis.hgetall(Keys.default().feedback)
    assert {name.decode(): int(count) for name, count in counted.items()} == {
        "Send": 2, "Delivery": 1, "Bounce Permanent": 1, "Complaint": 1,
    }  # fmt: skip
    for address in ("bounce.anna@faults.example", "complaint.ben@faults.example"):
        assert redis.hexists(bucket_key(Keys.default(), address), address)
