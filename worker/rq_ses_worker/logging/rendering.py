"""The form of a worker's log: a line an event on stderr, for people or as JSON, addresses masked.

Records of the standard library's logging are rendered, our own events and those of libraries alike.
Nothing is configured before `configure` is called.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
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

_Told = dict[str, Any]
"""What is told of a record, by name."""

_LEVELS: Final = {
    "critical": "\x1b[31m",
    "error": "\x1b[31m",
    "warning": "\x1b[33m",
    "info": "\x1b[32m",
    "debug": "\x1b[32m",
}
"""A terminal's colour of each."""

_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"
_LEVEL_COLUMNS: Final = 9


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
    steps: list[Callable[[_Told], None]] = [_make_inert]
    if addresses != "full":
        steps.append(partial(_hide_addresses, _masked if addresses == "masked" else _hidden))
    if form == "console":
        steps.append(_leave_out_what_is_said)
    render = _object if form == "json" else partial(_line, colors=stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(steps, render))
    return handler


class _Formatter(logging.Formatter):
    """Renders what is told of a record when all steps have been made with it."""

    def __init__(self, steps: Sequence[Callable[[_Told], None]], render: Callable[[_Told], str]) -> None:
        super().__init__()
        self._steps = steps
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        told = _described(record)
        if record.exc_info:
            # Not kept in the record, where another handler's form of it would be taken for ours.
            told["exception"] = self.formatException(record.exc_info)
        for step in self._steps:
            step(told)
        return self._render(told)


def _described(record: logging.LogRecord) -> _Told:
    """Return what is told of a record, whoever logged it."""
    event: Event | None = getattr(record, "rq_ses_event", None)
    told: _Told = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "level": record.levelname.lower(),
        "event": event.name if event else LIBRARY,
        "message": record.getMessage(),
    }
    if event:
        fields = getattr(record, "rq_ses_fields", {})
        told |= {name: value for name, value in fields.items() if value is not None and value != ""}
    told |= {"logger": record.name, "pid": record.process}
    return told


def _make_inert(told: _Told) -> None:
    """Keep a record to its line: what strangers wrote may neither break it nor steer a terminal."""
    for name, value in told.items():
        if name == "exception":
            told[name] = "\n".join(_printable(line) for line in value.splitlines())
        elif isinstance(value, str):
            told[name] = _printable(value)


def _printable(text: str) -> str:
    if _UNPRINTABLE.search(text) is None:
        return text
    return _UNPRINTABLE.sub(lambda found: "" if found[0].startswith("\x1b[") else " ", text)


def _hide_addresses(replaced: Callable[[re.Match[str]], str], told: _Told) -> None:
    for name, value in told.items():
        if isinstance(value, str) and "@" in value:
            told[name] = _ADDRESS.sub(replaced, value)


def _masked(found: re.Match[str]) -> str:
    return f"{(found['quoted'] or found['local'])[0]}…@{found['domain']}"


def _hidden(_: re.Match[str]) -> str:
    return _HIDDEN


def _leave_out_what_is_said(told: _Told) -> None:
    """Leave out, where people read, what the sentence says or nobody looks for."""
    event = _BY_NAME.get(told["event"])
    for name in ("pid", *(("logger", *event.said) if event else ())):
        told.pop(name, None)


def _object(told: _Told) -> str:
    return json.dumps(told, default=repr)


def _line(told: _Told, *, colors: bool) -> str:
    """Return a line for people, and under it a traceback if there is one."""
    dim, reset = (_DIM, _RESET) if colors else ("", "")
    level = str(told.pop("level"))
    style = _LEVELS.get(level, "") if colors else ""
    parts = [
        f"{dim}{told.pop('timestamp')}{reset}",
        f"[{style}{level:<{_LEVEL_COLUMNS}}{reset}]",
        told.pop("message"),
        f"{dim}[{reset}{dim}{told.pop('event')}{reset}{dim}]{reset}",
    ]
    exception = told.pop("exception", None)
    parts += (f"{dim}{name}{reset}={_shown(value)}{reset}" for name, value in told.items())
    line = " ".join(filter(None, parts))
    return line if exception is None else f"{line}\n{exception}"


def _shown(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[^\s\"'=]+", text) else repr(text)


_BY_NAME: Final = {event.name: event for event in CATALOGUE}
