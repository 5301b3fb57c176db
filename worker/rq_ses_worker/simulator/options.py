"""What one simulated SES account is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rq_ses_worker.simulator.settings import (
    ACCOUNT,
    CLOCK_OFFSET,
    DEFAULT_ACCESS_KEY_ID,
    DEFAULT_SECRET_ACCESS_KEY,
    ERROR_SHAPE,
    EVENTS,
    EVENTS_CERTIFICATE,
    EVENTS_FORM,
    EVENTS_RAW,
    EVENTS_REPEAT,
    EVENTS_SHUFFLE,
    EVENTS_SIGNATURE,
    EVENTS_SUBSCRIBED,
    KEEP,
    QUOTA,
    RATE,
    REGION,
    SANDBOX,
    SKEW,
    VERIFIED,
    ErrorShape,
    EventForm,
    EventSignature,
)
from rq_ses_worker.simulator.way import Target, Way, check_certificate, listed

_WEEK: Final = 604_800


@dataclass(frozen=True, slots=True)
class Credential:
    """One key pair the simulator accepts; with a session token, only together with it."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


DEFAULT_CREDENTIAL: Final = Credential(DEFAULT_ACCESS_KEY_ID, DEFAULT_SECRET_ACCESS_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of one simulator: `skew` and `clock_offset` in seconds, `rate` in recipients a second.

    A rate or quota of 0 is unlimited. Raises ValueError when a value makes no sense, TypeError for one text
    in place of a list.
    """

    credentials: Sequence[Credential] = (DEFAULT_CREDENTIAL,)
    region: str = REGION.default
    skew: float = SKEW.default
    clock_offset: float = CLOCK_OFFSET.default
    error_shape: ErrorShape = ERROR_SHAPE.default
    sandbox: bool = SANDBOX.default
    verified: Sequence[str] = VERIFIED.default
    rate: float = RATE.default
    quota: int = QUOTA.default
    keep: int = KEEP.default
    events: Sequence[Target] = EVENTS.default
    events_form: EventForm = EVENTS_FORM.default
    events_signature: EventSignature = EVENTS_SIGNATURE.default
    events_repeat: int = EVENTS_REPEAT.default
    events_shuffle: bool = EVENTS_SHUFFLE.default
    events_raw: bool = EVENTS_RAW.default
    events_subscribed: bool = EVENTS_SUBSCRIBED.default
    events_certificate: str | None = EVENTS_CERTIFICATE.default

    def __post_init__(self) -> None:
        if not self.credentials or not all(c.access_key_id and c.secret_access_key for c in self.credentials):
            raise ValueError("credentials: at least one access key id with its secret is needed")
        for setting in ACCOUNT:
            setting.check(getattr(self, setting.name))
        if self.skew > _WEEK or not abs(self.clock_offset) <= 520 * _WEEK:
            raise ValueError("skew and clock_offset: at most a week and ten years, in seconds")
        if self.events_certificate is not None:
            check_certificate(self.events_certificate)
        _ = self.way

    @property
    def way(self) -> Way:
        """How events are told at first."""
        return Way(
            targets=listed(self.events),
            form=self.events_form,
            signature=self.events_signature,
            repeat=self.events_repeat,
            shuffle=self.events_shuffle,
            raw=self.events_raw,
            subscribed=self.events_subscribed,
        )
