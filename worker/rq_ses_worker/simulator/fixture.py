"""The object behind the fixture `ses_simulator`: what an app's tests see of the mails it sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rq_ses.contract import JOB_TAG
from rq_ses_worker.simulator.options import Credential
from rq_ses_worker.simulator.records.inbox import Request
from rq_ses_worker.simulator.records.mail import Mail
from rq_ses_worker.simulator.records.parsed import ParsedMail
from rq_ses_worker.simulator.server import SimulatorServer
from rq_ses_worker.simulator.telling import Telling

_PAUSE: Final = 0.005
_DELIVERY: Final = "rq_ses_worker.engine.burst"


@dataclass(frozen=True, kw_only=True)
class ReceivedMail(ParsedMail):
    """An accepted mail; `recipients` are bare addresses, `events` what AWS's simulator addresses do.

    `tags` are the app's own; the one that every mail of a job has stands apart, as `job_id`.
    With a `rendering_failure` its template couldn't be filled in, so SES sends nothing.
    """

    message_id: str
    job_id: str | None = None
    at: float
    recipients: tuple[str, ...]
    events: Mapping[str, str] = field(default_factory=dict)
    rendering_failure: str | None = None


class SesSimulator(Telling):
    """A simulated SES account for one test: where it is, what it received, what shall go wrong."""

    def __init__(self, server: SimulatorServer, credential: Credential, region: str, directory: Path) -> None:
        super().__init__(server, directory)
        self._credential = credential
        self.region = region

    def __repr__(self) -> str:
        return f"<SesSimulator {self.url}>"

    @property
    def url(self) -> str:
        """The base URL, for a worker's `base_url` and for a browser."""
        return self._server.url

    @property
    def access_key_id(self) -> str:
        """Id of the key pair that it knows."""
        return self._credential.access_key_id

    @property
    def secret_access_key(self) -> str:
        """Secret of the key pair; it opens nothing but this simulator."""
        return self._credential.secret_access_key

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for a worker's process, on top of the others and of its Redis URL."""
        return {
            "RQ_SES_BASE_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            # A token of the developer's own would belong to another key.
            "AWS_SESSION_TOKEN": self._credential.session_token or "",
        }

    @property
    def mails(self) -> list[ReceivedMail]:
        """Every accepted mail since the test's beginning or the last `clear`, oldest first."""
        return [_received(mail) for mail in self._server.mails]

    @property
    def requests(self) -> list[Request]:
        """Every request with its answer, refused ones included, oldest first."""
        return self._server.requests

    def wait_for_mails(self, n: int = 1, timeout: float = 10.0) -> list[ReceivedMail]:
        """Return the mails as soon as there are `n`; `timeout` is in seconds.

        Raises AssertionError that tells what came instead.
        """
        __tracebackhide__ = True
        end = time.monotonic() + timeout
        while len(self._server.mails) < n:
            if time.monotonic() > end:
                raise AssertionError(
                    f"{len(self._server.mails)} of {n} mails arrived within {timeout:g} s; {self._seen()}"
                )
            time.sleep(_PAUSE)
        return self.mails

    def fail(self, address: str, *steps: str | int) -> None:
        """Give the next attempts to send to `address` one of `steps` each, such as "429x2", 503 or "reject".

        Raises ValueError when it is no address, or a step is none.
        """
        self._server.faults.script(address, [str(step) for step in steps])

    def add_template(
        self, name: str, *, subject: str | None = None, text: str | None = None, html: str | None = None
    ) -> None:
        """Store a template in the account, in place of one with its name.

        Raises ValueError when SES would refuse it.
        """
        self._server.add_template(name, subject, text, html)

    def deliver(self, redis: Any, **options: Any) -> list[ReceivedMail]:
        """Run a worker in this process until the app's queue is empty; return all mails so far.

        `redis` is a connection or a URL. Options are `queue`, `max_attempts` and `timeout` (30 s). Retries
        come after 0.05 s. Raises TimeoutError when mails are left, ValueError when `redis` can't carry a
        worker.
        """
        # By name: what checks signatures here must not import what makes them.
        import_module(_DELIVERY).deliver(
            redis,
            base_url=self.url,
            region=self.region,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self._credential.session_token,
            **options,
        )
        return self.mails

    def clear(self) -> None:
        """Forget mails, requests, scripts, templates, events and what was sent."""
        self._server.clear()

    def _seen(self) -> str:
        requests = self.requests
        if not requests:
            return "no request came: is a worker running, with the settings of ses_simulator.env?"
        last = requests[-1]
        answer = "no answer" if last.status is None else f"{last.status} {last.code or ''}".strip()
        words = f": {last.message}" if last.message else ""
        return f"{len(requests)} requests came, the last was answered {answer}{words}"


def _received(mail: Mail) -> ReceivedMail:
    parsed = mail.parsed
    fields = {name: getattr(parsed, name) for name in ParsedMail.__dataclass_fields__}
    tags = dict(parsed.tags)
    job_id = tags.pop(JOB_TAG, None)
    return ReceivedMail(
        **{**fields, "tags": tags},
        job_id=job_id,
        message_id=mail.message_id,
        at=mail.at,
        recipients=mail.recipients,
        events=mail.events,
        rendering_failure=mail.rendering_failure,
    )
