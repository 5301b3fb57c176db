"""One mail as it stands in Redis, read with suspicion: anybody may have written it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rq_ses import contract
from rq_ses.contract import Priority
from rq_ses.deadletter.reading.letter import Entry, read_letter
from rq_ses.deadletter.reading.payload import Unreadable, read_payload
from rq_ses.server.stored import count, date, moment
from rq_ses.text.plaintext import one_line

FIELDS: Final = (
    *("status", "origin", "created_at", "enqueued_at", "started_at", "ended_at", "description"),
    *("meta", "exc_info", "worker_name", contract.KEY_FIELD),
)
"""Of the job's hash; `data` is read by itself, as it may be large."""

_WORDS: Final = 500
_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail in whatever state. Texts are inert; moments are aware; None isn't known, or doesn't apply."""

    job_id: str
    queue: str
    priority: Priority
    status: str
    """RQ's: queued, started, scheduled, finished, failed, canceled, stopped or deferred."""
    place: str
    """Where it stands, in words."""
    ahead: int | None
    """Mails that stand before it in its queue."""
    description: str
    created_at: datetime | None
    enqueued_at: datetime | None
    scheduled_for: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    """When its last attempt ended, or it was canceled."""
    worker: str
    """That sends it, or sent it."""
    attempts: int
    in_doubt: int
    """Attempts after which SES may have accepted it."""
    outcome: str
    """The last attempt's: sent, rate_limited, transient or terminal; "" if there was none."""
    code: str
    message: str
    http_status: int | None
    request_id: str | None
    unknown: bool
    """SES may have accepted it, as far as anybody knows."""
    hint: str | None
    message_id: str | None
    """SES's, of a mail that was sent."""
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str | None
    """None once the payload is dropped, when the mail was sent."""
    expires: datetime | None
    on_unknown: str | None
    keyed: bool
    """It was sent under an idempotency key, of which Redis keeps a hash alone."""
    size: int
    """Bytes of its payload in Redis."""
    ttl: int | None
    """Seconds until it is forgotten; None is never."""
    now: datetime
    """The server's clock."""


def read_mail(
    job_id: str,
    queue: str,
    priority: Priority,
    *,
    fields: Mapping[str, bytes],
    data: bytes,
    size: int,
    ttl: int | None,
    place: str,
    ahead: int | None,
    due: float | None,
    result: Mapping[bytes, bytes],
    now: float,
) -> Mail:
    """Return what is kept of a mail; never raises."""
    status = _text(fields.get("status"), 40)
    meta = _meta(fields.get("meta"))
    report = meta.get("last_outcome")
    last: Mapping[str, Any] = report if isinstance(report, dict) else {}
    sent = _sent(result) if status in ("finished", "canceled") else None
    failed = status in ("failed", "stopped")
    exc_string = result.get(b"exc_string", b"") if result.get(b"type") == b"2" and failed else b""
    entry = Entry(
        size=size,
        job_id=job_id.encode("utf-8", "surrogateescape"),
        score=b"",
        status=b"failed",
        ended_at=fields.get("ended_at", b""),
        meta=fields.get("meta", b""),
        exc_info=fields.get("exc_info", b"") if failed else b"",
        description=b"",
        resent_at=b"",
        result=exc_string,
    )
    letter = read_letter(entry, queue)
    in_doubt = count(meta.get("ambiguous"))
    message, options = _payload(data)
    outcome = "sent" if sent is not None or status == "finished" else _plain(last.get("outcome"), 40)
    tells = failed or (outcome and outcome != "sent")
    return Mail(
        job_id=one_line(job_id, 200),
        queue=queue,
        priority=priority,
        status=status,
        place=place,
        ahead=ahead,
        description=_text(fields.get("description"), 2 * contract.DESCRIPTION_LIMIT),
        created_at=date(fields.get("created_at")),
        enqueued_at=date(fields.get("enqueued_at")),
        scheduled_for=moment(due) if status == "scheduled" else None,
        started_at=date(fields.get("started_at")),
        ended_at=date(fields.get("ended_at")),
        worker=_text(fields.get("worker_name"), 100),
        attempts=count(meta.get("attempts")),
        in_doubt=in_doubt,
        outcome=outcome,
        code=one_line(letter.code, 120) if tells else "",
        message=one_line(letter.message, _WORDS) if tells else "",
        http_status=letter.http_status if tells else None,
        request_id=one_line(letter.request_id, 120) if tells and letter.request_id else None,
        unknown=letter.unknown if failed else in_doubt > 0 and outcome != "sent",
        hint=letter.hint if tells else None,
        message_id=sent,
        sender=_plain(message.get("sender"), _NAMES),
        to=_names(message.get("to")),
        cc=_names(message.get("cc")),
        bcc=_names(message.get("bcc")),
        subject=_plain(message.get("subject"), _NAMES) if "subject" in message else None,
        expires=moment(options.get("expires")),
        on_unknown=_plain(options.get("on_unknown"), 20) or None,
        keyed=bool(fields.get(contract.KEY_FIELD)),
        size=size,
        ttl=ttl,
        now=datetime.fromtimestamp(now, UTC),
    )


def _payload(data: bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        payload = read_payload(data)
    except Unreadable:
        return {}, {}
    return payload.fields, payload.options


def _sent(result: Mapping[bytes, bytes]) -> str | None:
    """Return the MessageId in RQ's result of a job that was sent; "" if SES's answer had none."""
    if result.get(b"type") != b"1":
        return None
    try:
        value = json.loads(b64decode(result.get(b"return_value", b"")))
    except (ValueError, RecursionError):
        return ""
    return _plain(value.get("message_id"), 200) if isinstance(value, dict) else ""


def _meta(raw: bytes | None) -> Mapping[str, Any]:
    try:
        meta = json.loads((raw or b"{}").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _names(value: object) -> tuple[str, ...]:
    found: Sequence[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(_plain(one, _NAMES) for one in found if isinstance(one, str))


def _plain(value: object, limit: int) -> str:
    return one_line(value, limit) if isinstance(value, str) else ""


def _text(value: bytes | None, limit: int) -> str:
    return one_line((value or b"")[: 4 * limit].decode("utf-8", "replace"), limit)
