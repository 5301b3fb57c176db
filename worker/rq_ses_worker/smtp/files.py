"""What is read from files, at the start and again at SIGHUP: users, and the certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from rq_ses.errors import SettingsError
from rq_ses.text.invalid import shown
from rq_ses_worker.settings.smtp import SmtpSettings
from rq_ses_worker.smtp.access.rules import Rules
from rq_ses_worker.smtp.access.users import read_users


@dataclass(frozen=True, slots=True)
class Files:
    """What they hold."""

    rules: Rules
    tls: ssl.SSLContext | None

    @classmethod
    def read(cls, settings: SmtpSettings) -> Files:
        """Return what the files hold now. Raises SettingsError with a line for each problem."""
        problems: list[str] = []
        users = tls = None
        try:
            users = read_users(settings.smtp_users) if settings.smtp_users else None
        except SettingsError as exc:
            problems += exc.problems
        try:
            tls = (
                _context(settings.smtp_certificate, settings.smtp_key) if settings.smtp_certificate else None
            )
        except SettingsError as exc:
            problems += exc.problems
        if problems:
            raise SettingsError(problems)
        return cls(Rules.of(settings, users), tls)


def _context(certificate: str, key: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password of its own OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as exc:
        reason = (
            (exc.reason if isinstance(exc, ssl.SSLError) else exc.strerror)
            if isinstance(exc, OSError)
            else ""
        )
        named = f"{shown(certificate)} and {shown(key)} are" if key else f"{shown(certificate)} holds"
        raise SettingsError(
            [
                f"RQ_SES_SMTP_CERTIFICATE: {named} no certificate and its key without a password "
                f"({reason or 'unreadable'}): give both in PEM"
                + ("" if key else ", the key in a file of its own by RQ_SES_SMTP_KEY")
            ]
        ) from None
    return context
