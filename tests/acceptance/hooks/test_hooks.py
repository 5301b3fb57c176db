"""A worker that tells a webhook how its mails end."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.outside.webhook import webhook_app
from support.programs.processes import run, worker_environment

KEY = "of a webhook in these tests"


def test_a_webhook_is_told_of_each_mail_before_a_burst_ends(
    redis: Redis, redis_url: str, ses: SimulatorServer, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"{KEY}\n")
    outbox = Outbox(redis_url)
    sent = outbox.send(mail("ann@example.com")).job_id
    failed = outbox.send(mail("reject.ben@faults.example")).job_id
    outbox.connection.close()
    with webhook_app() as app:
        variables = {"RQ_SES_WEBHOOK_URL": app.url, "RQ_SES_WEBHOOK_SECRET_FILE": str(tmp_path / "secret")}
        done = run(["worker", "--burst"], worker_environment(redis_url, ses.url, **variables))
    told = {one["job_id"]: one for one in app.told}
    assert {job_id: one["kind"] for job_id, one in told.items()} == {sent: "sent", failed: "failed"}
    assert told[sent]["to"] == ["ann@example.com"]
    assert told[sent]["message_id"] == ses.mails[0].message_id
    assert told[failed]["code"] == "MessageRejected"
    assert told[failed]["error"].startswith("MessageRejected: ")
    for headers, body in app.requests:
        at, _, digest = headers["X-Rq-Ses-Signature"].removeprefix("t=").partition(",v1=")
        assert digest == hmac.new(KEY.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    kept = b"".join(redis.dump(key) or b"" for key in redis.scan_iter())
    for secret in (KEY, "tok3n"):
        assert secret not in done.stderr
        assert secret.encode() not in kept
