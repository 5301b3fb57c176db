"""A queue with a mail, and a worker that will be dead."""

from __future__ import annotations

import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.audits import PREFIX
from support.mails.mail import mail


@pytest.fixture
def outbox(redis: Redis) -> Outbox:
    return Outbox(redis)


@pytest.fixture
def job_id(outbox: Outbox) -> str:
    return outbox.send(mail()).job_id


@pytest.fixture
def lifecycle(redis: Redis) -> Lifecycle:
    return Lifecycle(redis, ["mail"], "dead-worker", PREFIX, 30.0)
