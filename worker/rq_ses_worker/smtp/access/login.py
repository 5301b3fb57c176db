"""AUTH PLAIN and AUTH LOGIN: passwords are checked in a thread, so that nobody else has to wait meanwhile."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from weakref import WeakKeyDictionary

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, Session

from rq_ses_worker.logging import events
from rq_ses_worker.smtp import replies
from rq_ses_worker.smtp.access.client import Client
from rq_ses_worker.smtp.access.rules import Rules
from rq_ses_worker.smtp.access.users import User, Users
from rq_ses_worker.smtp.counts import Counts

log = logging.getLogger(__name__)

MOST_FAILURES: Final = 3
"""Wrong passwords in a session; then it is over."""

_MOST_BYTES: Final = 1024
"""Of a password."""


class Logins:
    """The part of the handler that logs clients in: aiosmtpd calls these methods, by their names.

    Args:
        rules: returns what counts at the moment.
        counts: is told of logins.
    """

    def __init__(self, rules: Callable[[], Rules], counts: Counts) -> None:
        self._rules = rules
        self._counts = counts
        # One at a time: each takes 32 MB, and who guesses passwords shall not have more than one core.
        self._checking = ThreadPoolExecutor(1, "rq-ses-login")
        self._failures: WeakKeyDictionary[Session, int] = WeakKeyDictionary()

    def close(self) -> None:
        """End the thread; a check that runs ends first."""
        self._checking.shutdown(cancel_futures=True)

    async def handle_AUTH(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, _args: Sequence[str]
    ) -> Any:
        """Let a client log in that may, at this point."""
        client = Client.of(session)
        refusal = self._rules().login(client.address, encrypted=client.encrypted)
        return refusal.reply if refusal else MISSING

    async def auth_PLAIN(self, server: SMTP, args: Sequence[str]) -> AuthResult:  # noqa: N802
        """Read name and password at once (RFC 4616)."""
        answer = args[1] if len(args) > 1 else await _asked(server, "")
        if answer is MISSING:
            return AuthResult(success=False)
        parts = _decoded(answer).split(b"\0")
        if len(parts) != 3:
            return _refused(replies.LOGIN_UNREADABLE.reply)
        return await self._logged_in(server.session, parts[1], parts[2])

    async def auth_LOGIN(self, server: SMTP, args: Sequence[str]) -> AuthResult:  # noqa: N802
        """Ask for the name, then for the password."""
        name = args[1] if len(args) > 1 else await _asked(server, server.AuthLoginUsernameChallenge)
        if name is MISSING:
            return AuthResult(success=False)
        password = await _asked(server, server.AuthLoginPasswordChallenge)
        if password is MISSING:
            return AuthResult(success=False)
        return await self._logged_in(server.session, _decoded(name), _decoded(password))

    async def _logged_in(self, session: Session | None, name: bytes, password: bytes) -> AuthResult:
        users = self._rules().users
        if users is None or session is None:
            return _refused(replies.NO_LOGIN.reply)
        text = name.decode("ascii", "replace")
        user = await self._checked(users, text, password)
        if user:
            self._counts.logins += 1
            return AuthResult(success=True, auth_data=user)
        failures = self._failures.get(session, 0) + 1
        self._failures[session] = failures
        self._counts.refused[replies.WRONG_LOGIN.reason] += 1
        events.SMTP_LOGIN_FAILED.log(log, client=Client.of(session).address, user=text[:128])
        return _refused((replies.TOO_MANY_LOGINS if failures >= MOST_FAILURES else replies.WRONG_LOGIN).reply)

    async def _checked(self, users: Users, name: str, password: bytes) -> User | None:
        if len(password) > _MOST_BYTES:
            return None
        remembered = users.remembered(name, password)
        if remembered:
            return remembered
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._checking, users.checked, name, password)


async def _asked(server: SMTP, challenge: str) -> Any:
    """Return a client's answer, MISSING if that was no base64; one that is too long is an empty one."""
    try:
        return await server.challenge_auth(challenge)
    except ValueError:
        return b""


def _decoded(answer: Any) -> bytes:
    """Return what a client has sent in base64: with the command a str, after a challenge decoded already."""
    if isinstance(answer, bytes):
        return answer
    try:
        return b64decode(answer, validate=True)
    except (NotBase64, ValueError):
        return b""


def _refused(reply: str) -> AuthResult:
    return AuthResult(success=False, handled=False, message=reply)
