"""What one simulated SES account is like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

ErrorShape = Literal["header", "body", "alternate"]

DEFAULT_ACCESS_KEY_ID: Final = "AKIDSIMULATOR"
DEFAULT_SECRET_ACCESS_KEY: Final = "simulator-secret"  # noqa: S105
"""Not a secret: it opens nothing but a simulator that was started without credentials of its own."""

DEFAULT_REGION: Final = "us-east-1"
DEFAULT_KEEP: Final = 10_000
DEFAULT_SKEW: Final = 300.0
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

    A rate or quota of 0 is unlimited. Raises ValueError when a value makes no sense.
    """

    credentials: Sequence[Credential] = (DEFAULT_CREDENTIAL,)
    region: str = DEFAULT_REGION
    skew: float = DEFAULT_SKEW
    clock_offset: float = 0.0
    error_shape: ErrorShape = "alternate"
    sandbox: bool = False
    verified: Sequence[str] = ()
    rate: float = 0.0
    quota: int = 0
    keep: int = DEFAULT_KEEP

    def __post_init__(self) -> None:
        if not self.credentials or not all(c.access_key_id and c.secret_access_key for c in self.credentials):
            raise ValueError("credentials: at least one access key id with its secret is needed")
        if isinstance(self.verified, str):
            raise TypeError(f"verified: {self.verified!r} is one text: give a list of them")
        if not self.region:
            raise ValueError("region: must not be empty")
        if self.error_shape not in get_args(ErrorShape):
            raise ValueError(
                f"error_shape: {self.error_shape!r} is none of {', '.join(get_args(ErrorShape))}"
            )
        for name, value in (("skew", self.skew), ("rate", self.rate), ("quota", self.quota)):
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{name}: {value} is not a number from 0 upwards")
        if self.skew > _WEEK or not abs(self.clock_offset) <= 520 * _WEEK:
            raise ValueError("skew and clock_offset: at most a week and ten years, in seconds")
        if self.keep < 1:
            raise ValueError(f"keep: {self.keep} is less than 1")
