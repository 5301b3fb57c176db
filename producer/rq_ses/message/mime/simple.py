"""A mail of the standard library's `email`, in the fields of a Message where these say the same.

What they can't say (signed parts, invitations, AMP, files without a name, …) is sent as the bytes it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from email.errors import MessageError
from email.generator import BytesGenerator
from email.header import Header
from email.headerregistry import BaseHeader
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import EmailPolicy, default
from hashlib import blake2b
from io import BytesIO
from textwrap import wrap
from typing import Any, Final

from rq_ses.message.address import encoded, normalise
from rq_ses.message.mime.comments import plainly_encoded
from rq_ses.message.mime.people import people
from rq_ses.text.plaintext import one_line

_HIDDEN: Final = ("bcc", "resent-bcc")
_PEOPLE: Final = frozenset({"from", "sender", "reply-to", "to", "cc"})
_FOLDED: Final = 70
"""Characters of a word that the standard library can surely write as it is, behind a header's name."""
_LINE: Final = 900
"""Characters that a line may have, with room for the header's name."""
_ADDRESSES: Final = {"to": "To", "cc": "Cc", "bcc": "Bcc", "reply_to": "Reply-To"}
_OWN: Final = frozenset(
    {"from", "to", "cc", "reply-to", "subject", "mime-version", "content-type", "content-transfer-encoding"}
)
"""Headers that are fields, or that SES writes for what it makes of them."""
_OVERWRITTEN: Final = frozenset({"date", "message-id"})
"""Headers in place of which SES puts its own, whichever way a mail is sent."""
_OF_MIME: Final = ("content-", "resent-", "x-ses-", "arc-")
"""How headers begin that a Message doesn't take, or that would say something else in it."""
_PART: Final = frozenset(
    {
        "mime-version",
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
        "content-id",
        "content-description",
    }
)

_ODD: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the standard library raises over mail it wasn't made for."""


_LINES: Final = re.compile(r"\r\n|\r|\n")
_BROKEN: Final = re.compile(r"(?:\r\n|\r(?!\n)|\n)(?![ \t])")
"""A line break in a header that doesn't fold it."""


class _Unsayable(Exception):
    """Raised when a Message's fields can't say what a mail says."""


def mime_of(email: Message[Any, Any]) -> bytes:
    """Return a mail as bytes with CRLF, without its Bcc, which recipients must not see.

    Raises ValueError if it can't be written, TypeError if it is none.
    """
    if not isinstance(email, Message):
        raise TypeError(f"email: a {type(email).__name__} is no email.message.Message: give one")
    _check_headers(email)
    written = BytesIO()
    try:
        _set_boundaries(email)
        BytesGenerator(written, mangle_from_=False, policy=_policy(email)).flatten(
            _shown(email), linesep="\r\n"
        )
    except (MessageError, *_ODD) as exc:
        raise ValueError(
            f"email: it can't be written as MIME ({type(exc).__name__}: {exc}): "
            "set its parts anew, addresses with ASCII domains"
        ) from exc
    return written.getvalue()


def _check_headers(email: Message[Any, Any]) -> None:
    """Raise ValueError for a header that would begin another one where it is written.

    What somebody wrote as encoded words may come to that, and not every Python refuses it (CVE-2024-6923).
    """
    for part in email.walk():
        for name, value in part.raw_items():
            if _BROKEN.search(name) or (isinstance(value, str) and _BROKEN.search(value)):
                raise ValueError(
                    f"email: its header {one_line(name, 80)} holds a line break, behind which another header "
                    "would begin: take line breaks out, also those of encoded words (=0D=0A)"
                )


def _shown(email: Message[Any, Any]) -> Message[Any, Any]:
    """Return a mail whose header tells what recipients may see; the one that was given stays as it is."""
    seen = copy(email)  # what takes headers away makes another list of them
    for name in set(seen.keys()):
        del seen[name]
    for name, value in email.raw_items():
        word = name.lower()
        if word not in _HIDDEN:
            seen.set_raw(name, _addressed(value) if word in _PEOPLE else _unbroken(value))
    return seen


def _addressed(value: Any) -> Any:
    """Return the addresses of a header in ASCII, where the standard library would write what nobody reads.

    It makes encoded words of domains, and of mails of the older kind even of whole addresses.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    pairs = people([str(value)])
    if isinstance(value, BaseHeader) and all(address.isascii() for _, address in pairs):
        return value
    try:
        return ",\n ".join(encoded(normalise(_written(*pair))) for pair in pairs)
    except ValueError:
        return value


def _unbroken(value: Any) -> Any:
    """Return a header's value, in long lines if the standard library would encode a long word of it.

    EmailPolicy does so to headers that were set and not read: nobody follows a List-Unsubscribe then.
    """
    if not isinstance(value, BaseHeader) or not value.isascii():
        return value
    if not _FOLDED <= max(map(len, value.split()), default=0) <= _LINE:
        return value
    return "\n ".join(wrap(value, _LINE, break_long_words=False, break_on_hyphens=False))


class _AsRead(EmailPolicy):
    """Writes what was read as it stood: its lines, and bytes beyond ASCII, which Python 3.13 would encode."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if not isinstance(value, BaseHeader):
            with suppress(UnicodeEncodeError):
                lines = self.linesep.join(_LINES.split(value))
                return f"{name}: {lines}{self.linesep}".encode("ascii", "surrogateescape")
        return super().fold_binary(name, value)


def _policy(email: Message[Any, Any]) -> Any:
    policy = email.policy
    if type(policy) is EmailPolicy:
        return _AsRead(**{**vars(policy), "refold_source": "none"})
    return policy.clone(refold_source="none") if isinstance(policy, EmailPolicy) else policy


def _set_boundaries(email: Message[Any, Any]) -> None:
    """Give each multipart a boundary if it has none: one that is the same for the same mail.

    The standard library would draw one by lot, and a mail that is made once more, under the same idempotency
    key, would be another one.
    """
    open_ones = [part for part in email.walk() if part.is_multipart() and _divided(part)]
    if not open_ones:
        return
    content = blake2b(digest_size=16)
    for part in email.walk():
        payload = part.get_payload()
        texts = (*map(str, part.values()), payload if isinstance(payload, str) else "")
        content.update("\0".join(texts).encode("utf-8", "surrogatepass"))
    for number, part in enumerate(open_ones):
        part.set_boundary(f"=_{content.hexdigest()}_{number}")


def _divided(part: Message[Any, Any]) -> bool:
    return part.get_content_maintype() == "multipart" and part.get_boundary() is None


def envelope_of(email: Message[Any, Any]) -> list[str]:
    """Return who gets a mail by its headers, each once; those of a resent mail are the Resent- ones."""
    names = ("To", "Cc", "Bcc")
    if "Resent-Date" in email:
        names = ("Resent-To", "Resent-Cc", "Resent-Bcc")
    return list(dict.fromkeys(one for name in names for one in _bare(email, name)))


def simple_fields(
    email: Message[Any, Any], mime: bytes, sender: str | None, recipients: Sequence[str] | None
) -> dict[str, Any] | None:
    """Return the fields of the Message that says the same as a mail; None if none does.

    Args:
        email: the mail.
        mime: its bytes.
        sender: the envelope's sender, where it isn't the one of the header.
        recipients: the envelope's, where they aren't those of the headers.
    """
    try:
        parsed = BytesParser(EmailMessage, policy=default).parsebytes(mime)
        fields = {**_addresses(email, parsed), **_headers(parsed), **_Content(parsed).fields}
    except (_Unsayable, *_ODD):
        return None
    if sender is not None:
        fields["sender"] = sender
    if recipients is not None:
        named = {one for name in ("To", "Cc", "Bcc") for one in _bare(email, name)}
        if named != {address for _, address in people(recipients)}:
            return None
    return fields


def _bare(email: Message[Any, Any], name: str) -> list[str]:
    found = email.get_all(name, [])
    values = [value.encode() if isinstance(value, Header) else str(value) for value in found]
    return [address for _, address in people(values)]


def _addresses(email: Message[Any, Any], parsed: EmailMessage) -> dict[str, Any]:
    """Return sender and recipients; the Bcc is no longer in what was parsed."""
    senders = _named(parsed, "From")
    if len(senders) != 1 or "Subject" not in parsed:
        raise _Unsayable
    found = {field: _named(parsed, name) for field, name in _ADDRESSES.items() if name != "Bcc"}
    found["bcc"] = _bare(email, "Bcc")
    return {"sender": senders[0], **{field: some for field, some in found.items() if some}}


def _named(parsed: EmailMessage, name: str) -> list[str]:
    headers = parsed.get_all(name, [])
    if len(headers) > 1:
        raise _Unsayable
    found = []
    for header in headers:
        if header.defects or any(group.display_name is not None for group in header.groups):
            raise _Unsayable
        found += [_written(one.display_name, one.addr_spec) for one in header.addresses]
    return found


def _written(name: str, address: str) -> str:
    if not name:
        return address
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def _headers(parsed: EmailMessage) -> dict[str, Any]:
    """Return the subject, and the headers that are no fields, in ASCII on one line each."""
    headers: dict[str, str] = {}
    for name, value in parsed.raw_items():
        word = name.lower()
        if not str(value).isascii():  # bytes in a header, of which nobody knows the encoding
            raise _Unsayable
        if word in _OWN or word in _OVERWRITTEN:
            continue
        if word == "content-disposition" and parsed.get_content_disposition() == "inline":
            continue
        if word.startswith(_OF_MIME) or word in ("sender", "bcc") or name in headers:
            raise _Unsayable
        headers[name] = "".join(str(value).splitlines()).strip()
    subject = parsed["Subject"]
    if subject.defects or len(parsed.get_all("Subject", [])) != 1:
        raise _Unsayable
    return {"subject": str(subject), **({"headers": headers} if headers else {})}


class _Content:
    """Takes a mail apart: a text, the same as HTML, what the HTML shows, and files, in that order.

    Raises _Unsayable where it is made of anything else.
    """

    def __init__(self, email: EmailMessage) -> None:
        self.fields: dict[str, Any] = {}
        if any(part.defects or not plainly_encoded(part) for part in email.walk()):
            raise _Unsayable
        body, files = self._opened(email, "multipart/mixed")
        self._body(body)
        attached = self.fields.pop("attachments", [])
        attached += [_attachment(part, inline=False) for part in files]
        if attached:
            self.fields["attachments"] = attached

    def _body(self, part: EmailMessage) -> None:
        kind = part.get_content_type()
        if kind == "multipart/alternative":
            first, rest = self._opened(part, kind)
            if len(rest) != 1 or first.get_content_type() != "text/plain":
                raise _Unsayable
            self._body(first)
            self._body(rest[0])
        elif kind == "multipart/related":
            shown, rest = self._opened(part, kind)
            self._body(shown)
            if "html" not in self.fields or "attachments" in self.fields:
                raise _Unsayable
            self.fields["attachments"] = [_attachment(one, inline=True) for one in rest]
        elif kind in ("text/plain", "text/html"):
            field = kind.removeprefix("text/").replace("plain", "text")
            if field in self.fields:
                raise _Unsayable
            self.fields[field] = _text(part)
        else:
            raise _Unsayable

    def _opened(self, part: EmailMessage, kind: str) -> tuple[EmailMessage, list[EmailMessage]]:
        """Return the first part of a multipart of this kind and the others; what isn't one, alone."""
        if part.get_content_type() != kind:
            return part, []
        first, *rest = _parts(part)
        return first, rest


def _parts(part: EmailMessage) -> Iterator[EmailMessage]:
    for one in part.iter_parts():
        if not isinstance(one, EmailMessage) or not {*map(str.lower, one.keys())} <= _PART:
            raise _Unsayable
        yield one


def _text(part: EmailMessage) -> str:
    parameters = _parameters(part, "content-type")
    if part.get_content_disposition() not in (None, "inline") or part.get_filename() or "content-id" in part:
        raise _Unsayable
    if not {*parameters} <= {"charset"}:
        raise _Unsayable
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        raise _Unsayable
    return content.decode(parameters.get("charset", "us-ascii")).replace("\r\n", "\n")


def _attachment(part: EmailMessage, *, inline: bool) -> dict[str, Any]:
    name, content = part.get_filename(), part.get_payload(decode=True)
    marked = part.get_content_disposition()
    cid = str(part.get("Content-ID", "")).strip().removeprefix("<").removesuffix(">")
    if not name or not isinstance(content, bytes):
        raise _Unsayable
    if bool(cid) != inline or marked not in (("inline", None) if inline else ("attachment",)):
        raise _Unsayable
    found = {"filename": name, "content": content, "content_type": _type(part, name)}
    if not {*_parameters(part, "content-disposition")} <= {"filename"}:
        raise _Unsayable
    if cid:
        found["content_id"] = cid
    if "content-description" in part:
        found["description"] = str(part["Content-Description"])
    return found


def _parameters(part: EmailMessage, header: str) -> Mapping[str, str]:
    return dict((part.get_params(header=header) or [])[1:])


def _type(part: EmailMessage, filename: str) -> str:
    parameters = _parameters(part, "content-type")
    if parameters.get("name", filename) != filename or not {*'"\\'}.isdisjoint("".join(parameters.values())):
        raise _Unsayable
    kept = [f'; {name}="{value}"' for name, value in parameters.items() if name != "name"]
    return part.get_content_type() + "".join(kept)
