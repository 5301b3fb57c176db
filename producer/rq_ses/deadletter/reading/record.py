"""A dead letter as a line of JSON, and what restore.lua writes of such a line."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple
from zlib import compress

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rq_ses import contract
from rq_ses.campaign.bulkjob import StoredTerms, is_bulk, read_terms
from rq_ses.campaign.bulkjob import payload as bulk_payload
from rq_ses.campaign.bulkjob import read as read_bulk
from rq_ses.campaign.names import indexed
from rq_ses.contract import YEARS, OnUnknown
from rq_ses.deadletter.reading.deadletter import DeadLetter, error_text, fresh_meta
from rq_ses.deadletter.reading.payload import Payload, Unreadable
from rq_ses.deadletter.reading.reader import raw_id
from rq_ses.keys import keys_of
from rq_ses.message.message import explain
from rq_ses.message.reading import AnyMessage
from rq_ses.rqdate import utcformat
from rq_ses.server.encoding import encode_job
from rq_ses.states import FAILED, QUEUED
from rq_ses.text.plaintext import one_line

_META_LIMIT: Final = 65_536
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_KEPT: Final = (
    "created_at",
    "enqueued_at",
    "timeout",
    "result_ttl",
    "failure_ttl",
    contract.KEY_FIELD,
    "exc_info",
)

_Ttl = Annotated[int, Field(strict=True, ge=-1, le=YEARS)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    expires: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    on_unknown: OnUnknown | None = None


class _Record(BaseModel):
    """One line. What isn't known is left alone: a later version may write more."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    job_id: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    queue: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,107}$")]
    message: dict[str, Any]
    terms: Annotated[str, Field(strict=True)] | None = None
    options: _Options = _Options()
    key: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{32}:[0-9a-f]{1,64}$")] | None = None
    unknown: Annotated[bool, Field(strict=True)] = True
    failed_at: Annotated[str, Field(strict=True)] | None = None
    created_at: Annotated[str, Field(strict=True)] | None = None
    enqueued_at: Annotated[str, Field(strict=True)] | None = None
    error: Annotated[str, Field(strict=True)] = ""
    meta: dict[str, Any] = {}
    timeout: Annotated[int, Field(strict=True, ge=-1, le=YEARS)] = contract.JOB_TIMEOUT
    result_ttl: _Ttl = contract.RESULT_TTL
    failure_ttl: _Ttl = contract.FAILURE_TTL


class SharedRow(NamedTuple):
    """What restore.lua takes of entries besides: their campaign, its terms, and where they are known."""

    campaign: str
    terms: StoredTerms
    known: bytes


class Row(NamedTuple):
    """One mail as restore.lua takes it."""

    queue: str
    unknown: bool
    fields: tuple[bytes | str | int, ...]
    shared: SharedRow | None = None

    @property
    def job_id(self) -> str:
        return str(self.fields[0])

    @property
    def size(self) -> int:
        shared = len(self.shared.terms.data) if self.shared else 0
        return shared + sum([len(one) for one in self.fields if not isinstance(one, int)])


def record(connection: Any, letter: DeadLetter, payload: Payload) -> dict[str, Any]:
    """Return a dead letter as a line of an export holds it."""
    *texts, error = connection.hmget(keys_of(connection).job(raw_id(letter.job_id)), _KEPT)
    created, enqueued, *numbers, key = (
        None if text is None else text.decode("utf-8", "replace") for text in texts
    )
    terms = {
        name: int(text)
        for name, text in zip(("timeout", "result_ttl", "failure_ttl"), numbers, strict=True)
        if text is not None and re.fullmatch(r"-1|\d{1,9}", text) and int(text) <= YEARS
    }
    return {
        "job_id": letter.job_id,
        "queue": letter.queue,
        "message": payload.fields,
        # As it stands: the hash in the message is of its very bytes.
        **({"terms": payload.shared.text} if payload.shared else {}),
        "options": payload.options,
        "key": key,
        "attempts": letter.attempts,
        "failed_at": None if letter.failed_at is None else utcformat(letter.failed_at),
        "unknown": letter.unknown,
        "outcome": {
            "code": letter.code,
            "message": letter.message,
            "status": letter.http_status,
            "request_id": letter.request_id,
        },
        # The hash may have none, or an older one (read.lua).
        "error": written if (written := error_text(error or b"")).startswith(letter.error) else letter.error,
        "created_at": created,
        "enqueued_at": enqueued,
        **terms,
        "meta": letter.meta,
    }


def read_record(line: bytes, *, resend: bool, include_unknown: bool) -> Row:
    """Return what restore.lua writes of a line. Raises ValueError."""
    stored = _stored(line)
    held = resend and stored.unknown and not include_unknown
    queued = resend and not held
    mail = _shared_mail(stored) if is_bulk(stored.message) else _mail(stored)
    if queued and mail.problem:
        raise ValueError(mail.problem)
    meta = _meta(fresh_meta(stored.meta, consent=stored.unknown) if queued else stored.meta)
    error = "" if queued else _error(stored.error)
    now = utcformat(datetime.now(UTC))
    options = stored.options.model_dump(exclude_none=True)
    return Row(
        stored.queue,
        held,
        (
            stored.job_id,
            QUEUED if queued else FAILED,
            encode_job(mail.payload, options),
            mail.description,
            _date(stored.created_at) or now,
            now if queued else _date(stored.enqueued_at) or now,
            "" if queued else _date(stored.failed_at) or now,
            meta,
            error,
            b64encode(compress(error.encode())),
            stored.timeout,
            stored.result_ttl,
            # With 0 it would be gone before anybody has seen it.
            stored.failure_ttl or contract.FAILURE_TTL,
            stored.key or "",
            mail.recipients,
        ),
        mail.shared,
    )


class _Mail(NamedTuple):
    """What a line says is to be sent."""

    payload: bytes
    description: str
    recipients: int
    problem: str = ""
    """Why it can't be."""
    shared: SharedRow | None = None


def _mail(stored: _Record) -> _Mail:
    payload, message, problem = _payload(stored)
    recipients = message.recipients if message else ()
    subject = message.subject if message else "(not a valid message)"
    return _Mail(payload, contract.description(recipients, subject), max(1, len(recipients)), problem)


def _shared_mail(stored: _Record) -> _Mail:
    """Return a campaign's entries. Raises ValueError: without their terms they are of no use."""
    try:
        job = read_bulk(stored.message)
        terms = StoredTerms(job.terms, compress((stored.terms or "").encode(), 9))
        campaign = read_terms(job.campaign, job.terms, terms.data)
    except ValidationError as exc:
        raise ValueError("; ".join(explain(exc))) from None
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    index = b"".join(bucket.encode() + field for bucket, field in (indexed(one.id) for one in job.entries))
    subject = campaign.template.subject or campaign.template.name or ""
    return _Mail(
        bulk_payload(job),
        contract.description([one.to for one in job.entries], subject),
        len(job.entries),
        shared=SharedRow(job.campaign, terms, index),
    )


def _stored(line: bytes) -> _Record:
    """Return a line as it was exported. Raises ValueError."""
    try:
        return _Record.model_validate(json.loads(line))
    except ValidationError as exc:
        # Outside of the chain: it holds the line.
        raise ValueError("; ".join(explain(exc))) from None
    except (ValueError, RecursionError):
        raise ValueError(
            "not JSON, or nested too deep: give a file that `rq-ses failed --export` wrote"
        ) from None


def _payload(stored: _Record) -> tuple[bytes, AnyMessage | None, str]:
    """Return a line's payload, its message if that is valid, and else why it isn't."""
    try:
        message = Payload(stored.message, {}).message()
    except ValidationError as exc:
        return _dumps(stored.message), None, "; ".join(explain(exc))
    except Unreadable as exc:
        raise ValueError(str(exc)) from exc
    return message.to_payload(), message, ""


def _dumps(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def _meta(meta: Mapping[str, Any]) -> bytes:
    try:
        written = _dumps(_inert(meta))
    except RecursionError as exc:
        raise ValueError("meta: nested too deep") from exc
    if len(written) > _META_LIMIT:
        raise ValueError(f"meta: {len(written)} bytes are too many: {_META_LIMIT} at most")
    return written


def _inert(value: Any) -> Any:
    """Return a value with its texts made inert: rq-dashboard prints meta as HTML."""
    if isinstance(value, str):
        return one_line(value, 2000)
    if isinstance(value, dict):
        return {one_line(str(name), 200): _inert(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_inert(one) for one in value]
    return value


def _error(error: str) -> str:
    return "\n".join(one_line(line, 600) for line in error[:16_384].splitlines()[:100])


def _date(text: str | None) -> str:
    return text if text and _DATE.fullmatch(text) else ""
