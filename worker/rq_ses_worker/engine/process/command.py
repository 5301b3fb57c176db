"""`rq-ses worker`: run a worker until it is told to stop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from rq_ses import contract
from rq_ses.cli.terminal.exits import DENIED, INCOMPLETE, OK, UNFIT, ends_with
from rq_ses.cli.terminal.options import setting_options
from rq_ses.contract import PRIORITIES, Priority
from rq_ses.errors import SettingsError
from rq_ses.keys import Keys
from rq_ses.partition import read_partitions
from rq_ses_worker.engine.process import httpclient  # noqa: F401 - before anything else imports requests
from rq_ses_worker.engine.process.building import build_worker
from rq_ses_worker.engine.process.drained import tell_burst
from rq_ses_worker.engine.process.run import Run
from rq_ses_worker.identity.source import CredentialSource
from rq_ses_worker.logging import events, rendering
from rq_ses_worker.monitoring.listening import read_listening
from rq_ses_worker.server import descriptors
from rq_ses_worker.ses.credentials import CredentialsUnavailable
from rq_ses_worker.settings.worker import WorkerSettings, load_worker_settings

if TYPE_CHECKING:
    from rq_ses_worker.monitoring.server import Monitor
    from rq_ses_worker.monitoring.tally import Board

log = logging.getLogger(__name__)


@ends_with(
    {
        OK: "stopped as told (or drained)",
        INCOMPLETE: "a part of the worker has died, or mails of a burst failed",
        UNFIT: "",
        DENIED: "",
    }
)
@click.command()
@click.option("--burst", is_flag=True, help="Drain the queue, wait for what is scheduled, and exit.")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    metavar="S",
    help="With --burst: seconds to wait at most for what can't be sent yet (scheduled, breaker open). "
    "A Redis that is away is waited for without bound.",
)
@setting_options(WorkerSettings, "concurrency", "redis_url", "queue")
@click.option(
    "--priority",
    "priorities",
    type=click.Choice(PRIORITIES),
    multiple=True,
    help="Send mails of this priority alone; may be repeated [all].",
)
@setting_options(
    WorkerSettings, "config", "aws_region", "base_url", "allow_http", "proxy", "ca_bundle", "timeout"
)
@setting_options(
    WorkerSettings, "rate_limited_delay", "transient_delay", "backoff", "max_delay", "max_attempts"
)
@setting_options(
    WorkerSettings, "give_up_after", "lease", "on_unknown", "max_doubtful", "account", "max_send_rate"
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes, each with its own threads: one uses one core [one for each partition, or 1].",
)
@setting_options(WorkerSettings, "preflight", "metrics")
@click.option("--name", help="Name shown by RQ's tools; by default made of host, process and chance.")
@setting_options(WorkerSettings, "log_level", "log_format", "log_addresses", "log_sent")
def worker(
    *,
    burst: bool,
    max_wait: float | None,
    processes: int | None,
    name: str | None,
    priorities: tuple[Priority, ...],
    **options: Any,
) -> None:
    """Send what is queued, many mails at once, until SIGTERM or SIGINT.

    A signal lets what is being sent end and settles it; a second one, at least a second later, ends at once.
    Credentials come from the environment, --config, or where else AWS's own tools look (AWS_PROFILE, web
    identity, container, EC2), never from options: other users could read those.

    \b
    Examples:
      rq-ses worker
      rq-ses worker --concurrency 32 --region eu-west-1
      rq-ses worker --burst --max-wait 30
      rq-ses worker --processes 4 --metrics 0.0.0.0:9108

    With --processes, a process that dies is started anew. A burst ends although mails of a dead worker wait
    for its lease to run out, and at once while workers are suspended, the breaker is open by hand, or the
    day's quota is used up; the next one sends them. It ends with a line that counts what was sent, what
    failed, and what is left.

    The partitions of a queue (RQ_SES_PARTITIONS) are dealt out to the processes in turns.
    """
    if max_wait is not None and not burst:
        raise click.UsageError("--max-wait is for --burst")
    settings = load_worker_settings(**options)
    sys.exit(_run(settings, priorities or PRIORITIES, processes, name, burst=burst, max_wait=max_wait))


def _run(
    settings: WorkerSettings,
    priorities: Sequence[Priority],
    processes: int | None,
    name: str | None,
    *,
    burst: bool,
    max_wait: float | None,
) -> int:
    partitions = [Keys(prefix) for prefix in read_partitions(settings.partitions, Keys.default().prefix)]
    count = _processes(processes, len(partitions))
    credentials = _introduce(settings)
    names = contract.queue_names(settings.queue, priorities)
    board = _board(count) if settings.metrics or burst else None
    monitor = monitor_of(settings, board, names) if board and settings.metrics else None
    build = partial(build_worker, settings, priorities=priorities, credentials=credentials)
    code = Run(build, count, name, burst, max_wait, board, monitor, partitions).code()
    if burst and board and not tell_burst(board, settings.redis_url, names, partitions):
        code = code or INCOMPLETE
    return code


def _board(processes: int) -> Board:
    from rq_ses_worker.monitoring.tally import Board

    return Board(processes)


def _processes(wanted: int | None, partitions: int) -> int:
    """Return how many processes there shall be. Raises SettingsError if some partition would have none."""
    if wanted is not None and wanted < partitions:
        raise SettingsError(
            [
                f"--processes: {wanted} can't serve {partitions} partitions (RQ_SES_PARTITIONS): "
                f"give at least {partitions}, or leave it out"
            ]
        )
    return wanted or max(1, partitions)


def monitor_of(settings: WorkerSettings, board: Board, queues: Sequence[str]) -> Monitor:
    """Return what serves the metrics and the health of the tallies on `board`; it listens already."""
    # Here, for few workers want it, and every one of them pays for what it has loaded.
    from rq_ses_worker.monitoring.server import Monitor
    from rq_ses_worker.monitoring.shared import SharedReader

    account = settings.account, settings.aws_region
    shared = SharedReader(settings.redis_url, queues, *account, partitions=settings.partitions)
    monitor = Monitor(read_listening(settings.metrics or ""), board, shared)
    events.MONITOR_LISTENS.log(log, url=monitor.url)
    return monitor


def _introduce(settings: WorkerSettings) -> CredentialSource:
    """Set up the log, and say in it where mails will go and with whose credentials, which are returned.

    Raises SettingsError if there are no credentials and somebody must act first.
    """
    rendering.configure(
        settings.log_level, form=settings.log_format, addresses=settings.log_addresses, sent=settings.log_sent
    )
    tell_where(settings)
    descriptors.provide(settings.concurrency)
    credentials = settings.credentials()
    identify(credentials)
    return credentials


def tell_where(settings: WorkerSettings) -> None:
    """Log which host the mails will go to, and what was set and has no effect."""
    url = urlsplit(settings.url)
    place = settings.endpoint_place
    events.WORKER_SENDS.log(
        log,
        host=url.netloc,
        given=f", given by {place}" if place else "",
        region=settings.aws_region,
        via=url.scheme,
    )
    if settings.unused:
        where = settings.origin("aws_access_key_id")
        events.SETTINGS_UNUSED.log(log, names=", ".join(settings.unused), place=where)


def identify(credentials: CredentialSource) -> None:
    """Fetch credentials and log where they come from; those that can't be had just now are waited for.

    Raises SettingsError, a line for each place that was looked at, if somebody must act first.
    """
    try:
        credentials.current()
    except CredentialsUnavailable as exc:
        if not exc.lasting:
            events.CREDENTIALS_AWAITED.log(log)
            return
        looked = [f"AWS credentials: {place}: {reason}" for place, reason in exc.tried]
        remedy = "AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or one of these places up"
        raise SettingsError([*looked, remedy] if len(looked) > 1 else looked) from exc
    events.CREDENTIALS_FOUND.log(log, source=str(credentials))
