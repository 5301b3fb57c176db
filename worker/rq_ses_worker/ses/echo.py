"""What an answer echoes of the secrets of its request, taken out before anybody sees it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.masking import Secrets
from rq_ses_worker.ses.outcome import Outcome, Sent

_TEXTS: Final = ("code", "message", "request_id", "answered")
_TEXTS_OF_SENT: Final = (*_TEXTS, "message_id")
_ONE_ID: Final = r"(?:[0-9a-f]{1,16}+(?:-[0-9a-f]{1,12}+){0,7}+)"
_ID: Final = re.compile(rf"{_ONE_ID}?")
_IDS: Final = re.compile(rf"{_ONE_ID}(?: {_ONE_ID})*")
"""An id as SES makes them: a message's, or a request's."""

_TEXT_BOUND: Final = 8192
"""Characters of a text in an answer that are kept; so much and as much again is looked at for secrets."""
_BODY_BOUND: Final = 262_144
"""Characters of the answer to a question that are kept; GetAccount's are 1 KB."""


class EchoMask:
    """Mask a request's secrets, and its proxy's, in what was answered; any number of threads may share it."""

    def __init__(self, proxy_secrets: tuple[str, ...] = ()) -> None:
        self._proxy_secrets = proxy_secrets
        # Read and replaced as a whole, so that threads need no lock.
        self._latest: tuple[Credentials | None, Secrets] = (None, Secrets(()))

    def outcome(self, outcome: Outcome, credentials: Credentials) -> Outcome:
        """Return the outcome with *** in place of each secret, and its texts cut to 8192 characters."""
        if type(outcome) is Sent and _is_plain(outcome):
            return outcome
        names = _TEXTS_OF_SENT if isinstance(outcome, Sent) else _TEXTS
        texts: dict[str, Any] = {name: text for name in names if (text := getattr(outcome, name))}
        masked = self._secrets(credentials).masked
        # Masked before it is cut: half a secret is recognised by its other half.
        clean: dict[str, Any] = {
            name: masked(text[: 2 * _TEXT_BOUND])[:_TEXT_BOUND] for name, text in texts.items()
        }
        return outcome if clean == texts else replace(outcome, **clean)

    def outcomes(self, outcomes: list[Outcome], credentials: Credentials) -> list[Outcome]:
        """Return the outcomes of a request's entries, each as `outcome` does."""
        # Looked at together, for a worker has hundreds a millisecond.
        if all(type(one) is Sent for one in outcomes) and _are_plain(outcomes):
            return outcomes
        return [self.outcome(one, credentials) for one in outcomes]

    def body(self, body: bytes, credentials: Credentials) -> bytes:
        """Return the body as UTF-8 text with *** in place of each secret, cut to 262,144 characters."""
        text = body.decode("utf-8", "replace")[:_BODY_BOUND]
        return self._secrets(credentials).masked(text).encode()

    def _secrets(self, credentials: Credentials) -> Secrets:
        whose, secrets = self._latest
        if whose is not credentials:
            secrets = Secrets((*credentials.secrets, *self._proxy_secrets))
            self._latest = (credentials, secrets)
        return secrets


def _is_plain(sent: Sent) -> bool:
    """Tell whether a mail was accepted in SES's own words: thousands a second, without room for a secret."""
    if sent.code or sent.message or sent.answered:
        return False
    return bool(_ID.fullmatch(sent.message_id or "") and _ID.fullmatch(sent.request_id or ""))


def _are_plain(sent: list[Any]) -> bool:
    if any(one.code or one.message or one.answered for one in sent):
        return False
    return _IDS.fullmatch(" ".join([one.message_id or "?" for one in sent])) is not None and all(
        _ID.fullmatch(request_id or "") for request_id in {one.request_id for one in sent}
    )
