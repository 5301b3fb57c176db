"""One mail as it stands in Redis; each value is checked, for any client may have written it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rq_ses import contract, states
from rq_ses.contract import Priority
from rq_ses.deadletter.reading.deadletter import DeadLetter, Entry, read_letter
from rq_ses.deadletter.reading.payload import Payload, Shared, Unreadable, read_payload
from rq_ses.mails.stored import StoredMail
from rq_ses.mails.told import events_in, feedback_in, returned, suppressed_in
from rq_ses.message import address
from rq_ses.message.reading import stated
from rq_ses.server.stored import count, date, line, moment
from rq_ses.text.plaintext import one_line
from rq_ses.tracking import MailEvent

_DATES: Final = ("created_at", "enqueued_at", "started_at", "ended_at")
_WORDS: Final = 500
"""Characters of SES's message at most."""

_NAMES: Final = 1000
"""Characters of an address or a subject at most."""


class Named(NamedTuple):
    """One of a campaign's entries, as a user names it."""

    id: str
    key: str
    """Its key, or the address that stands for one."""

    def is_at(self, recipient: str) -> bool:
        """Tell whether an address is the one that it is named by."""
        return address.bare(recipient).casefold() == self.key.casefold()


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
    campaign: str
    """Name of the campaign whose entry, or entries, it sends; "" is none."""
    entries: int
    """How many entries of the campaign its job has, or had; 0 of any other mail."""
    deliveries: tuple[tuple[str, str | None], ...]
    """Of a campaign's entries that were sent each address, and SES's MessageId."""
    size: int
    """Bytes of its payload in Redis."""
    ttl: int | None
    """Seconds until it is forgotten; None is never."""
    now: datetime
    """The server's clock."""
    first_attempt_at: datetime | None
    """When the first of its attempts ended, of a mail that was tried in vain."""
    note: str
    """What its job was told of how it ended."""
    suppressed: tuple[str, ...]
    """Recipients that it was not sent to, for they are on the suppression list."""
    feedback: str
    """The worst of what SES has told since (rq_ses.tracking.FEEDBACK); "" is nothing."""
    events: tuple[MailEvent, ...]
    """All that SES has told of it, the earliest first."""


@dataclass(frozen=True, slots=True)
class _LastAttempt:
    """How a mail's last attempt ended, and what that says of it."""

    outcome: str
    letter: DeadLetter
    """The attempt, read as that of a failed mail is."""
    tells: bool
    """Whether it ended otherwise than sent: then code, message and hint are shown."""
    message_id: str | None
    in_doubt: int
    unknown: bool


def read_mail(stored: StoredMail, shared: Shared | None = None, entry: Named | None = None) -> Mail:
    """Return what is kept of a mail; never raises.

    Args:
        stored: its job.
        shared: the terms of its campaign, if it has one.
        entry: which of a campaign's entries is meant; None are all that the job has.
    """
    fields, standing = stored.fields, stored.standing
    status, meta = line(fields.get("status"), 40), _meta(fields.get("meta"))
    last = _last_attempt(stored, status, meta)
    told = _contents(stored, shared, entry)
    deliveries = deliveries_of(stored.result, entry) if status == states.FINISHED else ()
    return Mail(
        job_id=one_line(stored.job_id, 200),
        queue=stored.queue,
        priority=stored.priority,
        status=status,
        place=standing.words,
        ahead=standing.ahead,
        description=line(fields.get("description"), 2 * contract.DESCRIPTION_LIMIT),
        scheduled_for=moment(standing.due) if status == states.SCHEDULED else None,
        worker=line(fields.get("worker_name"), 100),
        attempts=count(meta.get("attempts")),
        in_doubt=last.in_doubt,
        outcome=last.outcome,
        unknown=last.unknown,
        **_answer(last),
        message_id=deliveries[0][1] or "" if len(deliveries) == 1 else last.message_id,
        **told | {"to": told["to"] or tuple(address for address, _ in deliveries)},
        keyed=bool(fields.get(contract.KEY_FIELD)),
        **_of_campaign(stored),
        deliveries=deliveries,
        size=stored.size,
        ttl=stored.ttl,
        now=datetime.fromtimestamp(stored.now, UTC),
        **_told(stored, meta),
    )


def _answer(last: _LastAttempt) -> dict[str, Any]:
    """Return what SES said last, if it wasn't that it has the mail."""
    letter = last.letter
    if not last.tells:
        return {"code": "", "message": "", "http_status": None, "request_id": None, "hint": None}
    return {
        "code": one_line(letter.code, 120),
        "message": one_line(letter.message, _WORDS),
        "http_status": letter.http_status,
        "request_id": one_line(letter.request_id, 120) if letter.request_id else None,
        "hint": letter.hint,
    }


def _contents(stored: StoredMail, shared: Shared | None, entry: Named | None) -> dict[str, Any]:
    """Return what the payload says: nothing, once that is dropped."""
    message, options = _payload(stored.data, shared, entry)
    return {
        "sender": _plain(stated(message, "sender", "From"), _NAMES),
        "to": _names(message.get("to")),
        "cc": _names(message.get("cc")),
        "bcc": _names(message.get("bcc")),
        "subject": _maybe_plain(stated(message, "subject", "Subject"), _NAMES),
        "expires": moment(options.get("expires")),
        "on_unknown": _plain(options.get("on_unknown"), 20) or None,
    }


def _of_campaign(stored: StoredMail) -> dict[str, Any]:
    # A receipt has few fields, so that says whose it is, and of how many.
    campaign = line(stored.fields.get(contract.CAMPAIGN_FIELD), 100) or campaign_of(stored.result)
    number = _number(stored.fields.get(contract.RECIPIENTS_FIELD)) or len(deliveries_of(stored.result))
    return {"campaign": campaign, "entries": number if campaign else 0}


def _told(stored: StoredMail, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the job's dates, its result, its meta and SES's events tell."""
    return {
        **{name: date(stored.fields.get(name)) for name in _DATES},
        "first_attempt_at": moment(meta.get("first_attempt_at")),
        "note": _plain(meta.get("note"), _WORDS),
        "suppressed": suppressed_in(stored.result),
        "feedback": feedback_in(stored.events),
        "events": events_in(stored.events),
    }


def _last_attempt(stored: StoredMail, status: str, meta: Mapping[str, Any]) -> _LastAttempt:
    sent = _sent(stored.result) if status in (states.FINISHED, states.CANCELED) else None
    report = meta.get("last_outcome")
    told = _plain(report.get("outcome"), 40) if isinstance(report, dict) else ""
    outcome = "sent" if sent is not None or status == states.FINISHED else told
    failed = states.REGISTRY.get(status) == states.FAILED
    letter = _as_failed(stored, failed=failed)
    in_doubt = count(meta.get("ambiguous"))
    return _LastAttempt(
        outcome,
        letter,
        tells=failed or bool(outcome and outcome != "sent"),
        message_id=sent,
        in_doubt=in_doubt,
        unknown=letter.unknown if failed else in_doubt > 0 and outcome != "sent",
    )


def _as_failed(stored: StoredMail, *, failed: bool) -> DeadLetter:
    """Return a mail as the failed registry would tell of it; what is written of failures counts if it did."""
    fields, result = stored.fields, stored.result
    entry = Entry(
        size=stored.size,
        job_id=stored.job_id.encode("utf-8", "surrogateescape"),
        score=b"",
        status=states.FAILED.encode(),
        ended_at=fields.get("ended_at", b""),
        meta=fields.get("meta", b""),
        exc_info=fields.get("exc_info", b"") if failed else b"",
        description=b"",
        resent_at=b"",
        result=result.get(b"exc_string", b"") if failed and result.get(b"type") == b"2" else b"",
    )
    return read_letter(entry, stored.queue)


def _payload(
    data: bytes, shared: Shared | None, entry: Named | None
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        payload = read_payload(data)
    except Unreadable:
        return {}, {}
    if not payload.is_bulk:
        return payload.fields, payload.options
    payload = replace(payload, shared=shared)
    place = place_of(payload, entry.id) if entry else None
    mails = payload.mails()
    chosen = mails if place is None else mails[place : place + 1]
    fields = {**chosen[0], "to": [one.get("to") for one in chosen]} if chosen else {}
    return fields, payload.options


def place_of(payload: Payload, entry_id: str) -> int | None:
    """Return which of a campaign's entries has an id; None if none has."""
    entries = payload.fields.get("entries")
    for place, one in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(one, list) and one and one[-1] == entry_id:
            return place
    return None


def deliveries_of(
    result: Mapping[bytes, bytes], entry: Named | None = None
) -> tuple[tuple[str, str | None], ...]:
    """Return addresses and MessageIds in the receipt of a campaign's job, of one entry if that is there."""
    found = returned(result).get("entries")
    told = tuple(
        (_plain(one[0], _NAMES), _maybe_plain(one[2], 200))
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, list) and len(one) == 3
    )
    own = tuple(one for one in told if entry and entry.is_at(one[0]))
    return own or told


def campaign_of(result: Mapping[bytes, bytes]) -> str:
    """Return the campaign that the receipt of a job names; "" if it is none of a campaign's."""
    return _plain(returned(result).get("campaign"), 100)


def _number(raw: bytes | None) -> int:
    return int(raw) if raw and raw.isdigit() and len(raw) < 10 else 0


def _sent(result: Mapping[bytes, bytes]) -> str | None:
    """Return the MessageId in RQ's result of a job that was sent; "" if SES's answer had none."""
    if result.get(b"type") != b"1":
        return None
    value = returned(result)
    if "campaign" in value:
        return None  # each entry has its own
    return _plain(value.get("message_id"), 200)


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


def _maybe_plain(value: object, limit: int) -> str | None:
    return None if value is None else _plain(value, limit)
