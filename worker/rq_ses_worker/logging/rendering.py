"""The form of a worker's log: a line an event on stderr, for people or as JSON, addresses masked.

structlog renders the records of the standard library's logging, our own events and those of libraries alike.
Nothing is configured before `configure` is called.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import Any, Final, Literal, TextIO

from rq_ses_worker.logging.events import CATALOGUE, LIBRARY, Event

Form = Literal["console", "json"]
Addresses = Literal["full", "masked", "none"]

SENT_LOGGER: Final = "rq_ses_worker.sent"
"""Logs mail.sent alone: thousands of lines a second, which few want, have a level of their own."""

_UNPRINTABLE: Final = re.compile("\x1b\\[[0-9;]*m|[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ADDRESS: Final = re.compile(
    r"""(?:"(?P<quoted>(?:[^"\\\r\n]|\\.){1,200}|[^"\r\n]{1,200})"|(?P<local>[^\s"'`<>‹›(),;:@\[\]=]{1,300}))"""
    r"""@(?P<domain>\[[0-9A-Fa-f.:]{2,60}\]|[^\s"'`<>‹›(),;:@\[\]]+)"""
)
_HIDDEN: Final = "(address)"

_Fields = MutableMapping[str, Any]
_Processor = Callable[[Any, str, _Fields], Any]


def configure(
    level: str, *, form: Form = "console", addresses: Addresses = "masked", sent: bool = False
) -> None:
    """Log what is at least of `level` on stderr; unless the process has log handlers already.

    Args:
        level: debug, info, warning or error.
        form: a line for people, or an object of JSON.
        addresses: how e-mail addresses are shown, wherever they stand.
        sent: whether each mail that was sent is logged, too; at the level debug it is in any case.
    """
    logging.basicConfig(level=level.upper(), handlers=[log_handler(form, addresses, sys.stderr)])
    logging.getLogger(SENT_LOGGER).setLevel(logging.DEBUG if sent or level == "debug" else logging.WARNING)


def log_handler(form: Form, addresses: Addresses, stream: TextIO) -> logging.Handler:
    """Return a handler that writes records to `stream` in that form."""
    structlog = _structlog()
    steps: list[_Processor] = [structlog.processors.format_exc_info, _described, _made_inert]
    if addresses != "full":
        steps.append(partial(_without_addresses, _masked if addresses == "masked" else _hidden))
    if form == "json":
        steps.append(structlog.processors.JSONRenderer())
    else:
        steps += [_without_what_is_said, _console(structlog, colors=stream.isatty())]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=steps))
    return handler


def _structlog() -> ModuleType:
    # It would load rich for tracebacks that aren't wanted here (they show local variables, keys among them):
    # 3 MB and a tenth of a second for each worker.
    absent = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type]
    try:
        return importlib.import_module("structlog")
    finally:
        if absent:
            del sys.modules["rich"]


def _described(_logger: Any, level: str, found: _Fields) -> _Fields:
    """Return what is told of a record, whoever logged it."""
    record: logging.LogRecord = found["_record"]
    event: Event | None = getattr(record, "rq_ses_event", None)
    told: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "level": level,
        "event": event.name if event else LIBRARY,
        "message": found["event"],
    }
    if event:
        fields = getattr(record, "rq_ses_fields", {})
        told |= {name: value for name, value in fields.items() if value is not None and value != ""}
    told |= {"logger": record.name, "pid": record.process}
    if "exception" in found:
        told["exception"] = found["exception"]
    return told


def _made_inert(_logger: Any, _level: str, told: _Fields) -> _Fields:
    """Keep a record to its line: what strangers wrote may neither break it nor steer a terminal."""
    for name, value in told.items():
        if name == "exception":
            told[name] = "\n".join(_printable(line) for line in value.splitlines())
        elif isinstance(value, str):
            told[name] = _printable(value)
    return told


def _printable(text: str) -> str:
    if _UNPRINTABLE.search(text) is None:
        return text
    return _UNPRINTABLE.sub(lambda found: "" if found[0].startswith("\x1b[") else " ", text)


def _without_addresses(
    replaced: Callable[[re.Match[str]], str], _logger: Any, _level: str, told: _Fields
) -> _Fields:
    for name, value in told.items():
        if isinstance(value, str) and "@" in value:
            told[name] = _ADDRESS.sub(replaced, value)
    return told


def _masked(found: re.Match[str]) -> str:
    return f"{(found['quoted'] or found['local'])[0]}…@{found['domain']}"


def _hidden(_: re.Match[str]) -> str:
    return _HIDDEN


def _without_what_is_said(_logger: Any, _level: str, told: _Fields) -> _Fields:
    """Leave out, where people read, what the sentence says or nobody looks for."""
    event = _BY_NAME.get(told["event"])
    for name in ("pid", *(("logger", *event.said) if event else ())):
        told.pop(name, None)
    return told


def _console(structlog: ModuleType, *, colors: bool) -> _Processor:
    dev = structlog.dev
    styles = dev.ConsoleRenderer.get_default_level_styles(colors)
    dim, reset = ("\x1b[2m", "\x1b[0m") if colors else ("", "")

    def plain(key_style: str | None = None, style: str = "") -> Any:
        return dev.KeyValueColumnFormatter(key_style, style, reset, _shown)

    def bracketed(style: str) -> Any:
        return dev.KeyValueColumnFormatter(None, style, reset, str, prefix=f"{style}[", postfix=f"{style}]")

    columns = [
        dev.Column("timestamp", plain(style=dim)),
        dev.Column("level", dev.LogLevelColumnFormatter(styles, reset)),
        dev.Column("message", dev.KeyValueColumnFormatter(None, "", "", str)),
        dev.Column("event", bracketed(dim)),
        dev.Column("", plain(dim)),
    ]
    renderer: _Processor = dev.ConsoleRenderer(columns=columns, sort_keys=False)
    return renderer


def _shown(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[^\s\"'=]+", text) else repr(text)


_BY_NAME: Final = {event.name: event for event in CATALOGUE}
