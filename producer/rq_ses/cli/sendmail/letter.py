"""A mail as programs hand it to sendmail, made into one that holds beyond its own host.

They write what only that host understands (`To: root`), leave headers out, and put UTF-8 where ASCII belongs.
What is said already is left as it is, byte for byte.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Iterator
from email.header import Header
from email.utils import quote
from typing import Final

from rq_ses.cli.sendmail.host import Become, Host, if_full
from rq_ses.message.address import encoded, normalise
from rq_ses.message.mime.lines import long_line
from rq_ses.message.mime.people import people

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_DOT: Final = re.compile(rb"(?:\A|(?<=\n))\.\r?\n?\Z")
_LINE_END: Final = re.compile(rb"\r?\n")

_RECIPIENTS: Final = frozenset({"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"})
_ANSWERS: Final = frozenset({"reply-to", "sender"})
_HIDDEN: Final = frozenset({"bcc", "resent-bcc"})
_PLAIN: Final = frozenset({"7bit", "8bit", "binary"})
"""Encodings that leave a body as it is."""
_STRUCTURED: Final = re.compile(r"content-|mime-|dkim-|arc-|received")


class Field:
    """One header: its name as written, and its bytes, folds included, without the last line's end."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.name = raw.partition(b":")[0].strip().decode("ascii")
        self.word = self.name.lower()

    @property
    def text(self) -> str:
        """Its value on one line; what isn't UTF-8 is read as Latin-1."""
        value = self.raw.partition(b":")[2]
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        return _FOLD.sub("", text).strip()

    def written(self, value: str) -> Field:
        """Return a header of the same name with another value, which is ASCII."""
        return Field(f"{self.name}: {value}".encode("ascii"))


class Letter:
    """A mail that was read: headers and body.

    Args:
        data: as it came.
        dots: whether a dot alone on its last line is part of it.
    """

    def __init__(self, data: bytes, *, dots: bool = True) -> None:
        fields, start = _head(data)
        self.fields = fields
        body = data[start:]
        self.body = body if dots else _DOT.sub(b"", body)

    def named(self, word: str) -> Field | None:
        """Return the first header of that name in small letters, None if there is none."""
        return next((field for field in self.fields if field.word == word), None)

    def recipients(self) -> list[str]:
        """Return the addresses of those who get it by its header; of a resent mail, by what was added."""
        before = "resent-" if self.named("resent-date") else ""
        return self.addresses(*(f"{before}{name}" for name in ("to", "cc", "bcc")))

    def addresses(self, *words: str) -> list[str]:
        """Return the addresses in all headers of these names in small letters."""
        found = [one for field in self.fields if field.word in words for one in people([field.text])]
        return [address for _, address in found]

    def mime(self, *, hidden: bool) -> bytes:
        """Return it as MIME with CRLF; `hidden`: with the headers that recipients must not see."""
        fields = [field.raw for field in self.fields if hidden or field.word not in _HIDDEN]
        return _LINE_END.sub(b"\r\n", b"\n".join([*fields, b"", self.body]))

    def settle(self, host: Host, *, delivers: bool) -> None:
        """Give it a sender, full addresses, headers in ASCII, and the name of its charset.

        Args:
            host: what stands in for others.
            delivers: whether its header says who gets it.

        Raises:
            NoSender: nothing says by whom it is.
            NoUser: it is for a user of its own host, and `host` says nobody who gets that.
            ValueError: an address that has to be written anew is none.
        """
        if not (author := self.named("from")) or not author.text:
            self.fields = [field for field in self.fields if field is not author]
            self.fields.insert(0, Field(f"From: {_written(*host.author(host.name, ''))}".encode("ascii")))
        recipient = host.recipient if delivers else host.shown_recipient
        self.fields = [one for field in self.fields if (one := _settled(field, host.author, recipient))]
        if not self.body.isascii():
            self._name_charset()

    def wrap(self) -> None:
        """Write a text in base64 that has lines as no mail may, or NULs: cron mails whatever a job prints."""
        if not (long_line(self.body) or b"\0" in self.body):
            return
        kind, encoding = self.named("content-type"), self.named("content-transfer-encoding")
        if not (kind.text if kind else "text/plain").lower().startswith("text/"):
            return
        if encoding and encoding.text.lower() not in _PLAIN:
            return
        self.body = encodebytes(_LINE_END.sub(b"\r\n", self.body))
        self.fields = [field for field in self.fields if field is not encoding]
        self.fields.append(Field(b"Content-Transfer-Encoding: base64"))
        if not self.named("mime-version"):
            self.fields.append(Field(b"MIME-Version: 1.0"))

    def _name_charset(self) -> None:
        """Say of a text with 8-bit characters what it says nothing of: that it is UTF-8, mostly."""
        kind = self.named("content-type")
        text = kind.text if kind else "text/plain"
        if not text.lower().startswith("text/") or "charset" in text.lower():
            return
        named = Field(f"Content-Type: {text.rstrip('; ')}; charset={_charset(self.body)}".encode())
        self.fields = [named if field is kind else field for field in self.fields]
        if kind is None:
            self.fields.append(named)
        for name, value in (("MIME-Version", "1.0"), ("Content-Transfer-Encoding", "8bit")):
            if not self.named(name.lower()):
                self.fields.append(Field(f"{name}: {value}".encode("ascii")))


def _settled(field: Field, author: Become, recipient: Become) -> Field | None:
    """Return a header as it can go out, itself if it can; None if it has nothing to say elsewhere."""
    if field.word == "from":
        return _readdressed(field, author)
    if field.word in _RECIPIENTS:
        return _readdressed(field, recipient)
    if field.word in _ANSWERS:
        return _readdressed(field, if_full)
    if field.raw.isascii() or _STRUCTURED.match(field.word):
        return field
    return field.written(Header(field.text, "utf-8", header_name=field.name).encode())


def _readdressed(field: Field, become: Become) -> Field | None:
    found = people([field.text])
    new = [one for name, address in found if (one := become(name, address))]
    if new == found and field.raw.isascii():
        return field
    return field.written(",\n ".join(_written(*one) for one in new)) if new else None


def _written(name: str, address: str) -> str:
    # A name that is in encoded words already must not stand in quotes.
    quoted = name if name.startswith("=?") else f'"{quote(name)}"'
    return encoded(normalise(f"{quoted} <{address}>" if name else address))


def _charset(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "iso-8859-1"
    return "utf-8"


def _head(data: bytes) -> tuple[list[Field], int]:
    """Return the headers of a mail, and where its body begins: behind a blank line, or where no header is."""
    raws: list[bytes] = []
    start = 0
    for line, end in _lines(data):
        if not line:
            start = end
            break
        # To some a carriage return alone ends a line: what follows it would be another header to them.
        line = line.replace(b"\r", b" ")
        if line[:1] in b" \t" and raws:
            raws[-1] += b"\n" + line
        elif _FIELD.match(line):
            raws.append(line)
        elif raws or not line.startswith((b"From ", b">From ")):  # mbox's line
            break
        start = end
    return [Field(raw) for raw in raws], start


def _lines(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each line without its end, and where the next one begins."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end].rstrip(b"\r\n"), end
        start = end
