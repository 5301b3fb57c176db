"""The running ingress: it listens, rereads its files at SIGHUP, and ends cleanly at SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from typing import Final

from redis.exceptions import RedisError

from rq_ses.errors import SettingsError
from rq_ses_worker.engine.preflight.server import Finding, preflight
from rq_ses_worker.engine.threads.outage import Outage
from rq_ses_worker.logging import events
from rq_ses_worker.monitoring.listening import Listening
from rq_ses_worker.server.connection import connect_partitions
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.counts import Counts
from rq_ses_worker.smtp.files import Files
from rq_ses_worker.smtp.handler import Enqueues, Handler
from rq_ses_worker.smtp.session import Refusing, Session

log = logging.getLogger(__name__)

GRACE: Final = 15.0
"""Seconds that mails under way have when the ingress is to end."""

_BACKLOG: Final = 128
_PULSE: Final = 1.0


class Ingress:
    """Takes mails over SMTP and hands them on to an outbox.

    Args:
        settings: where, from whom, and how much.
        outbox: enqueues.
        counts: is told what becomes of mails.

    Raises:
        SettingsError: a file that the settings name can't be used.
    """

    def __init__(self, settings: SmtpSettings, outbox: Enqueues, counts: Counts) -> None:
        self._settings = settings
        self._counts = counts
        self._files = Files.read(settings)
        self._handler = Handler(lambda: self._files.rules, outbox, counts, settings)
        self._open: set[Session] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        port: int = self._server.sockets[0].getsockname()[1] if self._server else 0
        return port

    async def serve(self, stop: asyncio.Event) -> None:
        """Take mails until told to stop, then let those under way end.

        Raises:
            SettingsError: it can't listen there.
            ServerUnfit: Redis would lose mails by design.
        """
        await self._listen()
        beat = asyncio.create_task(self._beat())
        try:
            await self._check_redis(stop)
            await stop.wait()
        finally:
            await self._stop()
            beat.cancel()

    def reread(self) -> None:
        """Read users and certificate anew, for new connections; what can't be used leaves the old ones."""
        try:
            self._files = Files.read(self._settings)
        except SettingsError as exc:
            events.SMTP_NOT_REREAD.log(log, error="; ".join(exc.problems))
        else:
            users = self._files.rules.users
            events.SMTP_REREAD.log(log, users=len(users) if users else 0)

    async def _listen(self) -> None:
        at = self._settings.listening
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._session, at.host, at.port, backlog=_BACKLOG)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise SettingsError(
                [f"RQ_SES_SMTP_LISTEN: can't listen on {at}: {reason}; choose another"]
            ) from exc
        events.SMTP_LISTENS.log(
            log,
            address=str(Listening(at.host, self.port)),
            queue=self._settings.queue,
            tls=self._files.tls is not None,
            users=len(self._files.rules.users or ()),
        )

    def _refusing(self) -> Refusing | None:
        """Return what sends a client away, None if there is room for it."""
        if len(self._open) < self._settings.smtp_connections:
            return None
        self._counts.refused[replies.CONNECTIONS.reason] += 1
        return Refusing()

    def _session(self) -> asyncio.Protocol:
        return Session(
            self._handler,
            self._open,
            self._refusing,
            tls_context=self._files.tls,
            data_size_limit=self._settings.smtp_max_size,
            # So that addresses can be read and refused in words; it isn't offered.
            enable_SMTPUTF8=True,
            auth_require_tls=False,  # the handler's to say: not on loopback
            loop=asyncio.get_running_loop(),
        )

    async def _check_redis(self, stop: asyncio.Event) -> None:
        """Find out whether Redis keeps mails, as soon as it answers; until then none is taken."""
        outage = Outage(log, "mails are answered with 451")
        while not (stop.is_set() or self._counts.ready):
            try:
                await asyncio.to_thread(self._look)
            except RedisError as exc:
                outage.failed(exc)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _PULSE)
            else:
                outage.over()
                self._counts.ready = True

    def _look(self) -> None:
        known: tuple[Finding, ...] = ()
        partitions = connect_partitions(self._settings.redis_url, self._settings.partitions)
        try:
            for connection in partitions:
                known += preflight(connection, self._settings.preflight, known, rights=False)
        finally:
            partitions.close()

    async def _beat(self) -> None:
        while True:
            self._counts.pulse = time.monotonic()
            self._counts.connections = len(self._open)
            await asyncio.sleep(_PULSE)

    async def _stop(self) -> None:
        """Listen no more, let mails under way end for as long as GRACE, and say good-bye."""
        self._counts.stopping = True
        if self._server is None:
            return
        self._server.close()
        events.SMTP_STOPPING.log(log, connections=len(self._open))
        for session in list(self._open):
            session.end()
        ends = time.monotonic() + GRACE
        while self._open and time.monotonic() < ends:
            await asyncio.sleep(0.02)
        for session in list(self._open):
            session.end(now=True)
        # Each is bounded by the time-out of enqueueing.
        if self._handler.underway:
            await asyncio.wait(set(self._handler.underway))
        self._handler.close()


async def run(settings: SmtpSettings, outbox: Enqueues, counts: Counts) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP rereads the files. Raises as Ingress does."""
    ingress = Ingress(settings, outbox, counts)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, ingress.reread)
    await ingress.serve(stop)
