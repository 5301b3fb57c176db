"""Hooks of a worker: where outcomes are told, and the secret that signs what a webhook is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import SecretStr, model_validator

from rq_ses.settings.outcomes import OutcomeSettings
from rq_ses.settings.setting import Real, setting

_LEAST: Final = 16
_MOST: Final = 4096


class HooksSettings(OutcomeSettings):
    """A webhook, and what it takes to call it."""

    webhook_secret: SecretStr | None = setting(
        None, f"Secret that signs what the webhook is sent: {_LEAST} characters at least.", shown=False
    )
    webhook_secret_file: str | None = setting(
        None, "File whose first line is that secret, in place of `RQ_SES_WEBHOOK_SECRET`."
    )
    webhook_timeout: Real = setting(10.0, "Seconds for the webhook to answer.", above=0, at_most=50)

    @model_validator(mode="after")
    def _check_webhook(self) -> Self:
        # Here, for most workers have none.
        if self.webhook_url is None:
            return self
        from rq_ses_worker.hooks.webhook import checked_url

        try:
            checked_url(self.webhook_url, allow_http=getattr(self, "allow_http", False))
        except ValueError as exc:
            raise ValueError(f"RQ_SES_WEBHOOK_URL: {exc}") from None
        if (self.webhook_secret is None) == (self.webhook_secret_file is None):
            how = "is not set, nor is" if self.webhook_secret is None else "is set, and so is"
            raise ValueError(
                f"RQ_SES_WEBHOOK_SECRET: {how} RQ_SES_WEBHOOK_SECRET_FILE: set one of the two, "
                "so that the webhook can tell who calls it"
            )
        self.webhook_key()
        return self

    def webhook_key(self) -> bytes:
        """Return the secret that signs. Raises ValueError, never naming it."""
        if self.webhook_secret is not None:
            where, secret = "RQ_SES_WEBHOOK_SECRET", self.webhook_secret.get_secret_value()
        else:
            where = "RQ_SES_WEBHOOK_SECRET_FILE"
            try:
                with Path(self.webhook_secret_file or "").open(encoding="utf-8") as file:
                    secret = file.readline(_MOST).rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8 text"
                raise ValueError(f"{where}: {self.webhook_secret_file} can't be read: {reason}") from None
        if len(secret) < _LEAST:
            raise ValueError(
                f"{where}: {len(secret)} characters can be guessed: give {_LEAST} at least, "
                "as `openssl rand -hex 32` makes them"
            )
        return secret.encode()
