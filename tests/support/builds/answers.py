"""A stand-in for SES that answers a mail by the first word of its recipient's address."""

from __future__ import annotations

import json
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from support.servers.standin import Answer, Asked, StandIn

_LIMITS: dict[str, Any] = {
    "SendQuota": {"Max24HourSend": 50_000, "MaxSendRate": 50, "SentLast24Hours": 7},
    "SendingEnabled": True,
    "ProductionAccessEnabled": True,
    "EnforcementStatus": "HEALTHY",
}
_ANSWERS: dict[str, Answer] = {
    "refused": (400, {"__type": "MessageRejected", "message": "Email address is not verified."}),
    "limited": (429, {"__type": "TooManyRequestsException", "message": "Too many requests"}),
    "flaky": (503, {"__type": "ServiceUnavailable", "message": "Service is unavailable"}),
}


class AnsweringSes:
    """Accepts every mail but, while `difficult`, those whose labels ask for something else.

    "doubted" is answered too late for the worker's time-out, "kept" only when the block is left.
    """

    def __init__(self, *, difficult: bool) -> None:
        self.accepted: Counter[str] = Counter()
        """How often each label's mail was taken, as far as an answer said so."""
        self.asked: Counter[str] = Counter()
        self._difficult = difficult
        self._over = threading.Event()
        self._server = StandIn(
            {"GET /v2/email/account": (200, _LIMITS), "POST /v2/email/outbound-emails": self._answer}
        )

    @property
    def url(self) -> str:
        return self._server.url

    def _answer(self, asked: Asked) -> Answer:
        label = json.loads(asked.body)["Destination"]["ToAddresses"][0].partition("@")[0]
        self.asked[label] += 1
        word = label.partition("-")[0]
        if self._difficult and word in ("doubted", "kept"):
            self._over.wait(60 if word == "kept" else 3)
            return 503, {}
        if self._difficult and word in _ANSWERS:
            return _ANSWERS[word]
        self.accepted[label] += 1
        return 200, {"MessageId": f"message-of-{label}"}

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.__exit__(kind, exc, trace)
