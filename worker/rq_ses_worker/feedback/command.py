"""`rq-ses feedback`: take what SES tells of mails, over HTTP or out of a queue, until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import click

from rq_ses.cli.terminal.exits import INCOMPLETE, OK, ends_with
from rq_ses.cli.terminal.options import setting_option, setting_options
from rq_ses.feedback.app import Feedback
from rq_ses.feedback.store import Store
from rq_ses_worker.feedback.counts import Counts
from rq_ses_worker.feedback.monitor import FeedbackMonitor
from rq_ses_worker.feedback.reporting import Reporting
from rq_ses_worker.feedback.server import FeedbackServer
from rq_ses_worker.logging import events, rendering
from rq_ses_worker.monitoring.listening import read_listening
from rq_ses_worker.settings.feedback import (
    FeedbackCommandSettings,
    load_feedback_command_settings,
    load_queue_settings,
)

if TYPE_CHECKING:
    from rq_ses_worker.feedback.reader import QueueReader
    from rq_ses_worker.settings.feedback import SqsQueue

log = logging.getLogger(__name__)

GRACE: Final = 15.0
"""Seconds that readers of a queue have to end."""


@ends_with({OK: "stopped as told", INCOMPLETE: "a reader of the queue broke off"})
@click.command()
@setting_options(FeedbackCommandSettings, "feedback_bind", "feedback_queue_url")
@setting_option(
    FeedbackCommandSettings,
    "feedback_topics",
    "ARN of a topic that is yours; repeatable",
    multiple="topics",
)
@setting_option(
    FeedbackCommandSettings,
    "feedback_certificates",
    "PEM file of a certificate of SNS's, named as in its address, where there is no way to SNS; repeatable",
    multiple="certificates",
)
@setting_options(FeedbackCommandSettings, "feedback_raw", "feedback_threads")
@setting_options(FeedbackCommandSettings, "redis_url", "config", "metrics")
@setting_options(FeedbackCommandSettings, "log_level", "log_format", "log_addresses", "log_sent")
def feedback(*, topics: tuple[str, ...], certificates: tuple[str, ...], **options: Any) -> None:
    """Take what SES tells of mails, over HTTP or out of a queue of SQS, until SIGTERM or SIGINT.

    Bounces, complaints, deliveries and the like come through topics of Amazon SNS. Only signed messages of
    topics that are named are taken. Who bounced for good, or complained, is suppressed; a mail in doubt that
    SES speaks of is finished. What can't be stored comes again.

    \b
    Examples:
      rq-ses feedback --bind 0.0.0.0:8080 \\
        --topic arn:aws:sns:eu-central-1:123456789012:ses-events
      rq-ses feedback --topic arn:aws:sns:eu-central-1:123456789012:ses-events \\
        --queue-url https://sqs.eu-central-1.amazonaws.com/123456789012/ses

    GET of /healthz tells whether Redis answers.
    """
    settings = load_feedback_command_settings(
        **options,
        feedback_topics=list(topics) or None,
        feedback_certificates=list(certificates) or None,
    )
    rendering.configure(
        settings.log_level, form=settings.log_format, addresses=settings.log_addresses, sent=settings.log_sent
    )
    Serving(settings).run()


class Serving:
    """The server, and the threads that read a queue. Raises SettingsError if it can't be as it is set."""

    def __init__(self, settings: FeedbackCommandSettings) -> None:
        self._settings = settings
        self._store: Store = settings.store()
        self._counts = Counts()
        self._reporting = Reporting(self._counts)
        self._stop = threading.Event()
        self._broken = False
        self._readers: list[QueueReader] = []
        if settings.metrics:
            monitor = FeedbackMonitor(read_listening(settings.metrics), self._counts, self._store)
            events.MONITOR_LISTENS.log(log, url=monitor.url)
            monitor.start()
        if settings.sqs_queue:
            self._make_readers(settings.sqs_queue)
        self._server = self._make_server()

    def run(self) -> None:
        """Take messages until a signal comes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for place, reader in enumerate(self._readers):
            threading.Thread(target=self._read, args=[reader], name=f"queue-{place}", daemon=True).start()
        try:
            if self._server:
                self._server.serve()
            else:
                self._stop.wait()
        except SystemExit:
            pass
        self._stop.set()
        events.FEEDBACK_STOPPING.log(log)
        # One that waits for messages is left: what SQS gives it now is seen again.
        ends = time.monotonic() + GRACE
        while any(reader.busy for reader in self._readers) and time.monotonic() < ends:
            time.sleep(0.02)
        if self._broken:
            sys.exit(INCOMPLETE)

    def _read(self, reader: QueueReader) -> None:
        """Read a queue; if that breaks off, so does all: else nobody would see that nothing is read."""
        try:
            reader.run()
        finally:
            if not self._stop.is_set():
                self._broken = True
                os.kill(os.getpid(), signal.SIGTERM)

    def _end(self, *_: object) -> None:
        # Readers see the flag; waitress's loop ends by this exception, and by it alone.
        self._stop.set()
        if self._server:
            raise SystemExit

    def _make_server(self) -> FeedbackServer | None:
        listening = self._settings.listening
        if listening is None:
            return None
        receiver = self._settings.receiver(self._store)
        feedback = Feedback(receiver, self._store, self._reporting.answered)
        server = FeedbackServer(listening, feedback, self._settings.feedback_threads)
        events.FEEDBACK_LISTENS.log(log, address=server.address, topics=len(self._settings.topics))
        return server

    def _make_readers(self, queue: SqsQueue) -> None:
        # Here, for over HTTP nothing of it is needed.
        from rq_ses_worker.feedback.reader import QueueReader
        from rq_ses_worker.feedback.sqs import SqsClient

        settings = self._settings
        reaching = load_queue_settings(settings.config, queue.region)
        client = SqsClient(
            queue,
            reaching.aws_region,
            reaching.credentials(),
            reaching.route,
            pool_size=settings.feedback_threads,
        )
        receiver = settings.receiver(self._store, raw=settings.feedback_raw)
        self._readers = [
            QueueReader(client, receiver, self._reporting, self._stop)
            for _ in range(settings.feedback_threads)
        ]
        events.FEEDBACK_READS.log(
            log, queue=queue.url, region=reaching.aws_region, topics=len(settings.topics)
        )
