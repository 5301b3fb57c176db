"""What a worker, or the SMTP ingress, tells of itself: its log, and what it serves to monitoring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from rq_ses.settings.base import Settings
from rq_ses.settings.setting import setting
from rq_ses_worker.settings import values


class ObservabilitySettings(Settings):
    """How much is told, in what form, and where."""

    metrics: Annotated[str, AfterValidator(values.metrics)] | None = setting(
        None,
        "Where `/metrics`, `/healthz` and `/readyz` are served: `HOST:PORT`, or a port of loopback "
        "([what they tell](metrics.md)).",
        option="--metrics HOST:PORT",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(values.lower)] = (
        setting("info", "What is logged on stderr: this and what is graver.", option="--log-level")
    )
    log_format: Literal["console", "json"] = setting(
        "console",
        "Form of the log: lines for people, or objects of JSON with [named events](events.md).",
        option="--log-format",
    )
    log_addresses: Literal["full", "masked", "none"] = setting(
        "masked",
        "How the log shows e-mail addresses: in full, as `a…@example.com`, or not at all.",
        option="--log-addresses",
    )
    log_sent: bool = setting(
        False, "Log each mail that was sent (by `smtp`: taken), too, with its ids.", option="--log-sent"
    )
