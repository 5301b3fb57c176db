"""A mail in doubt, and the event that proves that SES has it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from rq_ses import Outbox, contract
from rq_ses.server.refusal import is_denied
from rq_ses.server.script import Source
from rq_ses_worker.lifecycle.records import Claim, Settlement, Word, failed_fields, sent_fields
from rq_ses_worker.lifecycle.transitions import Lifecycle
from support.mails.audits import LEASES, look, places
from support.mails.breaking import Breakable
from support.mails.keys import KEYS
from support.mails.mail import fetch, mail

NOTE: Final = "told by SES's event"
DOUBT: Final = {"attempts": 1, "transient": 1, "ambiguous": 1}
HELD: Final = failed_fields("outcome unknown: ReadTimeout: No answer")

_PARTS: Final = ("mails/typed", "mails/finish", "feedback/resolve")
RESOLVE: Final = Source(*_PARTS).text + (
    "\nredis.call('DEL', KEYS[1])"
    "\nreturn resolve(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))"
)
DATED: Final = Source(*_PARTS).text + "\nreturn dated(tonumber(ARGV[1]))"


class Doubtful:
    """One mail, two workers, and SES's events."""

    def __init__(self, redis: Redis, **options: Any) -> None:
        self.redis = redis
        self.outbox = Outbox(connection=redis, **options)
        self.ours = Lifecycle(redis, ["mail"], "ours", "a" * 8, 30.0)
        self.other = Lifecycle(redis, ["mail"], "other", "b" * 8, 30.0)
        self.script: Any = redis.register_script(RESOLVE)
        self.job_id = ""

    def send(self, **terms: Any) -> str:
        self.job_id = self.outbox.send(mail(), **terms).job_id
        return self.job_id

    def claim(self, lifecycle: Lifecycle | None = None) -> Claim | None:
        claims, _ = (lifecycle or self.ours).claim(1)
        return claims[0] if claims else None

    def settle(self, claim: Claim, action: Any, meta: dict[str, Any] | None = None, **more: Any) -> Word:
        fields: dict[str, dict[str, Any]] = {
            "sent": sent_fields({"message_id": "answered"}),
            "retry": {"delay": 0.0},
            "failed": HELD,
            "back": {},
        }
        ended = datetime.now(UTC)
        [word] = self.ours.settle(
            [
                Settlement(
                    claim.lease, action, ended, DOUBT if meta is None else meta, fields[action],
                    time.monotonic(), **more,
                )
            ],
            clock=time.monotonic(),
        )  # fmt: skip
        return word

    def in_doubt(self, status: str, **terms: Any) -> str:
        """Let a mail be in doubt that is failed, scheduled, queued or started."""
        self.send(**terms)
        claim = self.claim()
        assert claim
        assert self.settle(claim, "failed" if status == "failed" else "retry") == "done"
        if status in ("queued", "started"):
            self.ours.promote()
        return self.job_id

    def event(self, message_id: str = "m-1", *, accepted: float | None = None, script: Any = None) -> str:
        """Let an event come; return resolve's word."""
        now = time.time()
        args = [KEYS.root, self.job_id, message_id, now, now if accepted is None else accepted]
        word: bytes = (script or self.script)(keys=[KEYS.scratch], args=args)
        return word.decode()

    def broken_off(self, number: int) -> None:
        """Let the script that an event calls break off at one of its calls."""
        script = Breakable(self.redis, self.script)
        script.at = number
        try:
            self.event(script=script)
        except ResponseError as exc:
            if not is_denied(exc):
                raise

    def lease_runs_out(self) -> None:
        self.redis.zadd(LEASES, dict.fromkeys(self.redis.zrange(LEASES, 0, -1), 1.0), xx=True)

    @property
    def places(self) -> list[str]:
        return places(self.redis, self.job_id)

    def is_finished(self, message_id: str = "m-1", *, note: bool = True) -> bool:
        """Assert that RQ reads a mail that was sent, that it stands once, and that nobody will send it."""
        job = fetch(self.redis, self.job_id)
        assert job.get_status() == "finished"
        assert job.return_value() == {"message_id": message_id}
        assert (job.get_meta().get("note") == NOTE) is note
        assert (list(job.args), job.origin) == ([], "mail")
        assert job.ended_at is not None
        assert self.places == ["finished"]
        assert look(self.redis) == []
        self.ours.promote()
        assert self.claim() is None
        assert 0 < self.redis.ttl(KEYS.job(self.job_id)) <= contract.RESULT_TTL
        assert 0 < self.redis.ttl(KEYS.results(self.job_id)) <= contract.RESULT_TTL
        assert self.redis.keys("rq:ses:scratch*") == []
        return True
