"""Enqueue the mails of a stage by whatever build is on the path: `enqueue.py STAGE`; prints label and job id.

Of the package it knows what its users know, so that it runs under any build.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from rq_ses import Attachment, Message, Outbox

DAY = 86_400
STAGES: dict[str, dict[str, dict[str, Any]]] = {
    "attempted": {
        "sent": {},
        "sent-high": {"priority": "high"},
        "sent-keyed": {"key": "order-1"},
        "refused": {},
        "refused-keyed": {"key": "order-2"},
        "refused-requeued": {},
        "limited": {"key": "order-3"},
        "flaky": {},
        "doubted-held": {"on_unknown": "hold"},
        "doubted-again": {"on_unknown": "resend"},
        "expired": {"expires": 0.3},
    },
    "given-up": {"flaky-given-up": {}},
    "under-way": {"kept-under-way": {"on_unknown": "resend"}},
    "lost": {"kept-lost": {"on_unknown": "resend"}},
    "waiting": {
        "queued": {},
        "queued-high": {"priority": "high"},
        "queued-bulk": {"priority": "bulk"},
        "queued-keyed": {"key": "order-4"},
        "queued-terms": {"expires": DAY, "on_unknown": "hold"},
        "queued-attached": {},
        "scheduled-delay": {"delay": 3600},
        "scheduled-at": {"at": 3600, "key": "order-5"},
    },
    "canceled": {"canceled": {"key": "order-6"}, "canceled-scheduled": {"delay": 3600}},
}


def message(label: str) -> Message:
    """Return the mail of a label; its first word tells the stand-in for SES how to answer."""
    files = [Attachment(filename="note.txt", content=b"a note\n" * 40)] if label == "queued-attached" else []
    return Message(
        sender="Shop <shop@example.com>",
        to=[f"{label}@example.com"],
        cc=["copy@example.com"] if label == "queued-terms" else [],
        subject=f"Mail {label}",
        text="Hello",
        tags={"label": label},
        attachments=files,
    )


def main(stage: str) -> None:
    """Do it."""
    redis = Redis.from_url(os.environ["RQ_SES_REDIS_URL"])
    outbox = Outbox(connection=redis)
    jobs = {}
    for label, terms in STAGES[stage].items():
        given = dict(terms)
        if "at" in given:
            given["at"] = datetime.fromtimestamp(redis.time()[0] + given["at"], UTC)
        jobs[label] = outbox.send(message(label), **given).job_id
    if stage == "waiting":
        failed = FailedJobRegistry("mail", connection=redis, serializer=JSONSerializer)
        failed.requeue(sys.argv[2])
    json.dump(jobs, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
