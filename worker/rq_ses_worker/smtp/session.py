"""One session: aiosmtpd's SMTP, and what has to be added to it."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from aiosmtpd.smtp import SMTP

from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.handler import Handler
from rq_ses_worker.smtp.jobs import NAME

_PATH: Final = r'\s*(<(?:[^<>"\s]|"(?:[^"\\]|\\.)*")*>)(\s.*)?'
_MAIL: Final = re.compile(rf"FROM:{_PATH}", re.IGNORECASE)
_RCPT: Final = re.compile(rf"TO:{_PATH}", re.IGNORECASE)
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN: Final = re.compile(
    rf"""<((?:{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\]|\\.)*")@[A-Za-z0-9.-]+)>""",
)
_AUTH: Final = re.compile(r"\sAUTH=\S+", re.IGNORECASE)
_COMMAND_LINE: Final = 512


class Session(SMTP):
    """Answers one client; knows whether a mail is under way, and can be told to end.

    Args:
        handler: says what is answered.
        open_ones: the sessions that there are; this one puts itself there while it lasts.
        refusing: returns what answers the client instead, if there is no room for it.
        options: for aiosmtpd.
    """

    def __init__(
        self,
        handler: Handler,
        open_ones: set[Session],
        refusing: Callable[[], Refusing | None],
        **options: Any,
    ) -> None:
        super().__init__(handler, hostname=NAME, ident="ESMTP", **options)
        # aiosmtpd has one of these for all sessions, and lets it grow with each EHLO.
        self.command_size_limits = defaultdict(lambda: _COMMAND_LINE)
        self._open_ones = open_ones
        self._refusing = refusing
        self._busy = False
        self._ending = False
        self._unended = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Counted here, not where sessions are made: of a crowd that comes at once all are made first.
        refusing = self._refusing() if self.transport is None else None
        if refusing:
            transport.set_protocol(refusing)
            refusing.connection_made(transport)
            return
        self._open_ones.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Go on waiting for a mail while it comes, and let no line grow beyond what a mail may have.

        aiosmtpd gives a mail the time of one command, however large it is and slow the line; and keeps what
        came of a line until that ends.
        """
        if self._busy:
            self._reset_timeout()
            end = data.rfind(b"\r\n")
            self._unended = self._unended + len(data) if end < 0 else len(data) - end
            if self._unended > (self.data_size_limit or 0):
                self._hang_up(replies.LARGE)
                return
        super().data_received(data)

    def _hang_up(self, refusal: replies.Refusal) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(f"{refusal}\r\n".encode())
            self.transport.close()

    def end(self, *, now: bool = False) -> None:
        """Say good-bye: at once, or (unless `now`) when the mail that is under way was answered."""
        self._ending = True
        if now or not self._busy:
            self._hang_up(replies.STOPPING)

    async def push(self, status: Any) -> None:
        await super().push(status)
        # The reply that ends a session (RFC 5321, 3.8).
        if str(status).startswith("421") and self.transport is not None:
            self.transport.close()

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take out AUTH=: it belongs to AUTH (RFC 4954, 5), and Postfix gives it; aiosmtpd refuses it."""
        found = _MAIL.fullmatch(arg or "")
        if not found:
            await self.push(replies.SYNTAX.reply)
            return
        await super().smtp_MAIL(f"FROM:{found[1]}{_AUTH.sub('', found[2] or '')}")

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """Let aiosmtpd read none but paths: of others its parser raises, or makes something."""
        if not _RCPT.fullmatch(arg or ""):
            await self.push(replies.SYNTAX.reply)
            return
        await super().smtp_RCPT(arg)

    async def smtp_VRFY(self, _: str | None) -> None:  # noqa: N802
        """Say nothing of anybody, and repeat nothing that a client has sent."""
        await self.push("252 2.5.0 Nobody is looked up here; send the mail")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read at once what most addresses are, and leave them as they are.

        email's parser takes many times as long, drops quotes that are needed, and decodes encoded words.
        """
        found = _PLAIN.match(arg)
        return (found[1], arg[found.end() :]) if found else super()._getaddr(arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Know that a mail is under way until it was answered."""
        self._busy, self._unended = True, 0
        try:
            await super().smtp_DATA(arg)
        finally:
            self._busy = False
        if self._ending:
            await self.push(replies.STOPPING.reply)


class Refusing(asyncio.Protocol):
    """Sends a client away for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's own promise
        transport.write(f"{replies.CONNECTIONS}\r\n".encode())
        transport.close()
