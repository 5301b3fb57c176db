"""One failed mail, read from what RQ and the worker keep, and checked: any client may have written it."""

from __future__ import annotations

import json
import re
import struct
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from rq_ses.deadletter.reading.payload import Payload
from rq_ses.deadletter.reading.unsent import surely_unsent
from rq_ses.hints import hint_for
from rq_ses.message.reading import AnyMessage
from rq_ses.server.stored import count, date, moment

ATTEMPT_FIELDS: Final = frozenset(
    {"attempts", "rate_limited", "transient", "first_attempt_at", "last_outcome", "final"}
)
"""What the worker keeps in a job's meta about its attempts, and forgets once it is resent.

Not so `ambiguous`, how often SES may have accepted the mail, and `consented`, how many deliveries in all a
person has consented to. Everything else there is the user's own.
"""

_EXC_LIMIT: Final = 65_536
_TEXT_LIMIT: Final = 2000
_DEPTH: Final = 100
_HEAD: Final = struct.Struct(">13I")
_HINT: Final = "Hint:"
_CODE: Final = re.compile(r"(?:[\w.]+\.)?([A-Za-z][A-Za-z0-9]{2,80}): (.*)")
_BARE: Final = re.compile(r"(?:\w+\.)*([A-Z][A-Za-z0-9]{2,80})")
"""The last line of a traceback whose exception has no text."""
_LINE: Final = re.compile(r"(?:[\w.]+\.SendFailed: )?(?:outcome unknown: )?(.*)")
_FACTS: Final = re.compile(r" \((?:HTTP \d+|request id [^()]*|SES may have accepted the mail)[^()]*\).*")
_DOUBT: Final = "SES may have accepted the mail"


class Entry(NamedTuple):
    """What read.lua tells of one mail."""

    size: int
    """Bytes of its `data`."""
    job_id: bytes
    score: bytes
    status: bytes
    ended_at: bytes
    meta: bytes
    exc_info: bytes
    description: bytes
    resent_at: bytes
    data: bytes = b""
    """Where it was asked for, and isn't too large to be sent along."""
    result: bytes = b""
    """The reason in RQ's newest result, as it stands there: where the hash has none, or one that RQ wrote."""
    campaign: bytes = b""
    """Name of the campaign whose entries it sends; b"" is none."""
    recipients: bytes = b""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A mail that failed for good. Texts are as SES or strangers wrote them: not fit to be shown as they are.

    `payload` and `message` are there where they were asked for (`DeadLetters.get`, `find(messages=True)`).
    """

    job_id: str
    queue: str
    code: str
    """SES's name of the error, or the worker's own; "Unknown" if nothing is known."""
    message: str
    """SES's words."""
    http_status: int | None
    request_id: str | None
    unknown: bool
    """SES may have accepted the mail: in one of its attempts, or as far as anybody knows."""
    attempts: int
    first_attempt_at: datetime | None
    failed_at: datetime | None
    description: str
    """ "to → subject"."""
    error: str
    """What stands in the failed registry, without the hint under it."""
    meta: Mapping[str, Any] = field(repr=False)
    stamp: bytes = field(repr=False)
    """When it failed, as it is stored: what tells this failure from a later one."""
    reported: bool
    """The worker has left a report of its last attempt."""
    size: int
    """Bytes its payload takes in Redis."""
    payload: Payload | None = field(default=None, repr=False)
    prefix: str = ""
    """Under which it stands: that of its partition, or of a queue without partitions."""
    campaign: str = ""
    """Name of the campaign whose entry it is; "" is none."""
    mails: int = 1
    """How many they are: a campaign's entries that failed together, for one reason, are one dead letter."""

    @property
    def hint(self) -> str | None:
        """Return what can be done about it, if anything is known."""
        return hint_for(self.code, self.message, self.http_status)

    @property
    def mail(self) -> AnyMessage | None:
        """Return the message, if it was read; None of a campaign's entries, which `bulk` has.

        Raises pydantic.ValidationError if it isn't valid.
        """
        return None if self.payload is None or self.payload.is_bulk else self.payload.message()

    def fresh_meta(self) -> bytes:
        """Return the meta with which it is resent: only who resends what is in doubt may resend it at all."""
        return json.dumps(fresh_meta(self.meta, consent=self.unknown)).encode()


def fresh_meta(meta: Mapping[str, Any], *, consent: bool) -> dict[str, Any]:
    """Return a mail's meta without its attempts, but with its doubt; with `consent` to one more delivery."""
    fresh = {name: value for name, value in meta.items() if name not in ATTEMPT_FIELDS}
    if consent:
        # Where nobody counted, it was one at least.
        doubt = max(1, count(meta.get("ambiguous")))
        fresh.update(ambiguous=doubt, consented=max(doubt + 1, count(meta.get("consented"))))
    return fresh


def read_letter(entry: Entry, queue: str, prefix: str = "") -> DeadLetter:
    """Return what an entry of the failed registry tells; never raises."""
    meta = _meta(entry.meta)
    error = _result_text(entry.result) or error_text(entry.exc_info)
    error = error.partition(f"\n{_HINT}")[0]
    code, message, status, request_id, reported = _answer(meta.get("last_outcome"), error)
    return DeadLetter(
        job_id=entry.job_id.decode("utf-8", "surrogateescape"),
        queue=queue,
        code=code,
        message=message,
        http_status=status,
        request_id=request_id,
        unknown=_unknown(meta, error, reported=reported),
        attempts=count(meta.get("attempts")),
        first_attempt_at=moment(meta.get("first_attempt_at")),
        failed_at=date(entry.ended_at),
        description=entry.description.decode("utf-8", "replace"),
        error=error,
        meta=meta,
        stamp=entry.ended_at,
        reported=reported,
        size=entry.size,
        prefix=prefix,
        campaign=entry.campaign.decode("utf-8", "replace"),
        mails=_mails(entry),
    )


def _answer(last: Any, error: str) -> tuple[str, str, int | None, str | None, bool]:
    """Return code, text, HTTP status and request id of the last answer; and whether a worker reported it."""
    if isinstance(last, dict) and last.get("outcome") in ("rate_limited", "transient", "terminal"):
        code, message = _text(last.get("code")), _text(last.get("message"))
        status = last.get("status")
        status = status if isinstance(status, int) and not isinstance(status, bool) else None
        # RQ keeps meta when it requeues, and writes none when it fails a job: it may be of an older failure.
        if not (error and code and code not in error):
            code = code or (f"HTTP {status}" if status is not None else "Unknown")
            return code, message, status, _text(last.get("request_id")) or None, True
    return *_from_error(error), None, None, False


def _mails(entry: Entry) -> int:
    # SES counts the recipients of any mail; but only a campaign's are mails each.
    number = entry.recipients
    return max(1, int(number)) if entry.campaign and number.isdigit() and len(number) < 10 else 1


def _unknown(meta: Mapping[str, Any], error: str, *, reported: bool) -> bool:
    """Tell whether SES may have the mail; any doubt counts."""
    last = meta["last_outcome"] if reported else None
    if _DOUBT in error or (not surely_unsent(error) if last is None else last.get("ambiguous") is not False):
        return True
    transient, ambiguous = count(meta.get("transient")), meta.get("ambiguous")
    if isinstance(ambiguous, int):
        return ambiguous > 0
    # Where nobody counted the attempts in doubt, an earlier one that broke off may have been one.
    return transient > int(last is not None and last.get("outcome") == "transient")


def _meta(raw: bytes) -> dict[str, Any]:
    try:
        meta = json.loads(raw.decode("utf-8", "replace")) if raw else {}
    except (ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) and _shallow(raw, meta) else {}


def _shallow(raw: bytes, value: object) -> bool:
    """Tell whether a value can be written again without running out of stack."""
    if raw.count(b"[") + raw.count(b"{") <= _DEPTH:
        return True
    level: list[object] = [value]
    for _ in range(_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def error_text(raw: bytes) -> str:
    """Return a job's `exc_info`, plain or deflated, bounded."""
    if raw[:1] == b"\x78":
        with suppress(zlib.error):
            raw = zlib.decompressobj().decompress(raw, _EXC_LIMIT)
    return raw.decode("utf-8", "replace")


def _result_text(raw: bytes) -> str:
    """Return the `exc_string` of an RQ result: base64 of deflated text, bounded; "" if it is none."""
    try:
        return zlib.decompressobj().decompress(b64decode(raw), _EXC_LIMIT).decode("utf-8", "replace")
    except (ValueError, zlib.error):
        return ""


def _from_error(error: str) -> tuple[str, str]:
    """Return code and text of a line like `Code: text (HTTP 400, …)`, or of a traceback's last line."""
    lines = [line.strip() for line in error[-_TEXT_LIMIT:].splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return "Unknown", ""
    found = _LINE.fullmatch(lines[-1])
    line = _FACTS.sub("", found[1] if found else lines[-1])
    if named := _CODE.fullmatch(line):
        return named[1], named[2]
    bare = _BARE.fullmatch(line) if len(lines) > 1 else None
    return (bare[1], "") if bare else ("Unknown", line)


def _text(value: object) -> str:
    return value[:_TEXT_LIMIT] if isinstance(value, str) else ""


def entries(blob: bytes) -> Iterator[Entry]:
    """Yield the entries of read.lua's reply."""
    at = 0
    while at < len(blob):
        size, *lengths = _HEAD.unpack_from(blob, at)
        at += _HEAD.size
        texts = []
        for length in lengths:
            texts.append(blob[at : at + length])
            at += length
        yield Entry(size, *texts)
