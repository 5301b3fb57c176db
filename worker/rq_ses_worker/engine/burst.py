"""A worker that drains a queue inside this process and ends: for tests of what an app enqueues."""

from __future__ import annotations

import threading
from typing import Final

from redis import ConnectionPool, Redis
from redis.exceptions import ResponseError

from rq_ses import contract
from rq_ses.keys import carry, keys_of
from rq_ses.message.reading import AnyMessage
from rq_ses_worker.account.gate import GatePolicy
from rq_ses_worker.engine.worker import Capacity, MailWorker, Sending
from rq_ses_worker.lifecycle.retry import RetryPolicy
from rq_ses_worker.server.connection import connect
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import Outcome

CONCURRENCY: Final = 4
RETRY_DELAY: Final = 0.05
"""Seconds between attempts: a test of a retry shouldn't take what a retry takes."""

UNLIMITED: Final = 1e6
"""Recipients a second: what a 429 leaves of it is still more than a test sends."""


class _Sender:
    """A client that is never asked for the account's limits: the simulator keeps to its own."""

    def __init__(self, client: SesClient) -> None:
        self.region = client.region
        self._client = client

    def send(self, message: AnyMessage, job_id: str = "") -> Outcome:
        return self._client.send(message, job_id)

    def send_body(self, body: bytes) -> Outcome:
        return self._client.send_body(body)

    def send_bulk(self, body: bytes, entries: int) -> Outcome | list[Outcome]:
        return self._client.send_bulk(body, entries)


class BurstWorker(MailWorker):
    """A worker for any thread: it leaves the process's signal handlers and logging alone."""

    def subscribe(self) -> None:
        """Nobody sends commands to it: a thread less to wait for."""

    def unsubscribe(self) -> None:
        """It hasn't subscribed."""

    def _install_signal_handlers(self) -> None:
        """Signals are the test runner's."""

    def end(self) -> None:
        """Stop claiming and end, once what is being sent is settled."""
        self._stop_requested = True
        self._dispatcher.stop()


def deliver(
    redis: Redis | str,
    *,
    queue: str = contract.DEFAULT_QUEUE,
    base_url: str,
    region: str,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None = None,
    max_attempts: int = 10,
    timeout: float = 30.0,
) -> None:
    """Send what is queued, wait for what is scheduled, and return; settings of the environment aren't read.

    `redis` is the app's connection or a URL; `queue` stands for its high and bulk queues, too.

    Raises:
        ValueError: the connection can't carry a worker: it is a fakeredis.
        TimeoutError: something is left after `timeout` seconds, or is scheduled for later than that.
    """
    connection = _connection(redis)
    try:
        _check(connection)
        _drain(
            connection,
            queue,
            SesClient(
                Credentials(access_key_id, secret_access_key, session_token),
                Endpoint(region, base_url),
                pool_size=CONCURRENCY,
            ),
            max_attempts,
            timeout,
        )
    finally:
        connection.close()


def _drain(connection: Redis, queue: str, client: SesClient, max_attempts: int, timeout: float) -> None:
    gate = GatePolicy("burst", client.region, max_send_rate=UNLIMITED)
    key = keys_of(connection).account(gate.account, gate.region)
    connection.delete(key)  # an earlier test may have left its breaker open
    policy = RetryPolicy(
        rate_limited_delay=RETRY_DELAY, transient_delay=RETRY_DELAY, max_attempts=max_attempts
    )
    worker = BurstWorker(
        contract.queue_names(queue),
        connection,
        Sending(_Sender(client), policy, gate),
        Capacity(CONCURRENCY),
    )
    failures: list[Exception] = []

    def work() -> None:
        try:
            worker.work(burst=True)
        except Exception as exc:  # noqa: BLE001 - it is raised again, in the thread that waits
            failures.append(exc)

    thread = threading.Thread(target=work, name="ses-burst", daemon=True)
    thread.start()
    late = True
    try:
        thread.join(timeout)
        late = thread.is_alive()
    finally:
        worker.end()
        thread.join()
        client.close()
    if failures:
        raise failures[0]
    if late:
        raise TimeoutError(
            f"mails of queue {queue!r} are left after {timeout:g} s, or are scheduled for later"
        )


def _connection(redis: Redis | str) -> Redis:
    """Return a connection of the worker's own: RQ changes the time-outs of the one it is given."""
    if isinstance(redis, str):
        return connect(redis)
    pool = redis.connection_pool
    options = {**pool.connection_kwargs, "decode_responses": False}
    own = Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))
    carry(own, keys_of(redis))
    return own


def _check(connection: Redis) -> None:
    try:
        fit = connection.eval("return struct and 1 or 0", 0)
    except ResponseError:
        fit = 0
    if not fit:
        raise ValueError(
            "redis: a fakeredis takes mails, but doesn't run the worker's scripts: let the app use a real "
            "server, such as the one of the fixture ses_redis_url"
        )
