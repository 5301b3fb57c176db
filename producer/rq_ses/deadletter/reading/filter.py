"""Which dead letters are meant: by SES's answer, by age, by what the mail says, or by job id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rq_ses.deadletter.reading.deadletter import DeadLetter
from rq_ses.deadletter.reading.payload import Payload
from rq_ses.message import address
from rq_ses.message.reading import stated


@dataclass(frozen=True, slots=True)
class Filter:
    """What a dead letter must be like: all that is given must hold, and nothing given means every one.

    Upper and lower case are alike, but for tags and job ids.

    Args:
        codes: names of errors (MessageRejected, which is MESSAGE_REJECTED, too), any of them.
        text: part of SES's answer, or of the line in the failed registry.
        recipient: an address in to, cc or bcc; of a campaign, one of its entry's.
        sender_domain: domain of the sender's address.
        tags: tags of the message, by name.
        older_than: seconds (or a timedelta) that have passed since it failed, by the server's clock; or the
            moment (an aware datetime) by which it failed.
        newer_than: likewise within which, or since when, it failed.
        ids: job ids.
        campaign: name of the campaign whose entries they are.

    Raises:
        ValueError: an age can't be used, or no moment fits both.
        TypeError: `codes` or `ids` is one text.
    """

    codes: Collection[str] = ()
    text: str | None = None
    recipient: str | None = None
    sender_domain: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    older_than: float | timedelta | datetime | None = None
    newer_than: float | timedelta | datetime | None = None
    ids: Collection[str] | None = None
    campaign: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.codes, str):
            raise TypeError(f"codes: {self.codes!r:.80} is one text: give a list of them")
        if isinstance(self.ids, str):
            raise TypeError(f"ids: {self.ids!r:.80} is one text: give a list of them")
        now = datetime.now(UTC)
        before, after = _ago("older_than", self.older_than, now), _ago("newer_than", self.newer_than, now)
        if before is not None and after is not None and before < after:
            first, last = (f"{moment:%Y-%m-%d %H:%M:%S %z}" for moment in (after, before))
            raise ValueError(
                f"nothing failed both after {first} and before {last}: "
                "give the earlier moment first, or as newer_than, and the later one as older_than"
            )

    @property
    def needs_clock(self) -> bool:
        """Tell whether it matters what time it is."""
        return self.older_than is not None or self.newer_than is not None

    @property
    def needs_payload(self) -> bool:
        """Tell whether the mails themselves have to be read."""
        return bool(self.recipient or self.sender_domain or self.tags)

    def matcher(self, now: datetime | None = None) -> Matcher:
        """Return what tests dead letters at one moment."""
        return Matcher(self, now or datetime.now(UTC))


class Matcher:
    """A filter made ready: ages are moments, texts are lowered."""

    def __init__(self, wanted: Filter, now: datetime) -> None:
        self._codes = set(map(_code, wanted.codes))
        self._text = (wanted.text or "").casefold()
        self._campaign = wanted.campaign
        self._recipient = _bare(_normal(wanted.recipient or ""))
        domain = (wanted.sender_domain or "").removeprefix("@")
        self._domain = _bare(_normal(f"a@{domain}")).rpartition("@")[2] if domain else ""
        self._tags = dict(wanted.tags)
        self._before = _ago("older_than", wanted.older_than, now)
        self._after = _ago("newer_than", wanted.newer_than, now)

    def fits_failure(self, letter: DeadLetter) -> bool:
        """Tell whether how and when it failed is as wanted."""
        if self._codes and _code(letter.code) not in self._codes:
            return False
        if self._campaign is not None and letter.campaign != self._campaign:
            return False
        if (
            self._text
            and self._text not in letter.message.casefold()
            and self._text not in letter.error.casefold()
        ):
            return False
        if self._before is None and self._after is None:
            return True
        failed_at = letter.failed_at
        return (
            failed_at is not None
            and (self._before is None or failed_at <= self._before)
            and (self._after is None or failed_at >= self._after)
        )

    def fitting(self, payload: Payload) -> int:
        """Return how many of its mails are as wanted; one that is broken is as far as it can be read.

        A payload is one mail; but that of a campaign's job has one for each entry.
        """
        return sum(map(self._fits, payload.mails()))

    def _fits(self, fields: Mapping[str, Any]) -> bool:
        if self._recipient:
            everybody = (one for name in ("to", "cc", "bcc") for one in _texts(fields.get(name)))
            if self._recipient not in map(_bare, everybody):
                return False
        if self._domain:
            sender = next(iter(_texts(stated(fields, "sender", "From"))), "")
            if _bare(sender).rpartition("@")[2] != self._domain:
                return False
        if self._tags:
            tags = fields.get("tags")
            return isinstance(tags, Mapping) and self._tags.items() <= _plain(tags).items()
        return True


def _code(name: str) -> str:
    """Return an error's name as it is compared: of an entry of a campaign it is MESSAGE_REJECTED."""
    return name.casefold().replace("_", "")


def _normal(text: str) -> str:
    """Return an address as messages hold it, its domain in ASCII; what is none, as it is."""
    try:
        return address.normalise(text)
    except ValueError:
        return text


def _bare(text: str) -> str:
    text = text.strip().casefold()
    return address.bare(text) if text.endswith(">") and "<" in text else text


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return (one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _plain(tags: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if isinstance(value, str)}


def _ago(name: str, length: float | timedelta | datetime | None, now: datetime) -> datetime | None:
    if length is None:
        return None
    if isinstance(length, datetime):
        if length.tzinfo is None:
            raise ValueError(f"{name}: {length.isoformat()} has no offset from UTC: give an aware datetime")
        return length
    try:
        return now - (length if isinstance(length, timedelta) else timedelta(seconds=length))
    except (OverflowError, ValueError, TypeError) as exc:
        raise ValueError(
            f"{name}: {length!r:.80} can't be used: give seconds, a timedelta or a datetime"
        ) from exc
