"""E-mail addresses as SES takes them: `local@domain` or `Name <local@domain>`, in ASCII once rendered.

The local part must be ASCII and the domain becomes punycode (SES v2 API, SendEmail: EmailAddress). A display
name stays as it was written, quotes included, until it is rendered as an atom, quoted string or encoded word.
"""

from __future__ import annotations

import re
from base64 import b64encode
from email.utils import quote
from functools import lru_cache
from typing import Final

from email_validator import EmailNotValidError, validate_email

from rq_ses import headertext
from rq_ses.invalid import shown

NAME_LIMIT: Final = 256
"""Characters of a display name; ours, SES's own limit is on the header's line."""

_TEXT_LIMIT: Final = 1024
_REMEDY: Final = "write local@domain or Name <local@domain>"

_DEVELOPMENT: Final = frozenset({"invalid", "local", "localhost"})
"""Reserved domains (RFC 6761, 6762) that email-validator refuses, and that stand-ins for SES are fed with."""

# Only what email-validator takes as it stands: no capitals (it lowers "INFO@" but not "Ann@"), no "--", and
# none of the reserved domains.
_PLAIN: Final = re.compile(
    r"(?=[^@]{1,64}@)(?=.{6,254}\Z)(?!.*--)(?!.*\.(?:arpa|invalid|local|localhost|onion)\Z)"
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
_DOT: Final = re.compile(r"[.\u3002\uff0e\uff61]")
"""The dot and those that IDNA takes for one (RFC 3490, section 3.1)."""

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ENCODED_WORD: Final = 45
"""Bytes of UTF-8 that fit into one encoded word: 75 characters at most (RFC 2047, section 2)."""


def normalise(text: str) -> str:
    """Return an address with its domain in ASCII, its display name as written.

    Raises ValueError, with the value and the remedy, if it is not one address.
    """
    return text if _PLAIN.fullmatch(text) else _normalise(text)


def bare(address: str) -> str:
    """Return `local@domain` of a normalised address."""
    return address[address.rindex("<") + 1 : -1] if address[-1] == ">" else address


def encoded(address: str) -> str:
    """Return a normalised address in the ASCII form of a header."""
    return _encoded(address) if address[-1] == ">" else address


@lru_cache(maxsize=4096)
def _normalise(text: str) -> str:
    if len(text) > _TEXT_LIMIT:
        raise ValueError(f"{shown(text)} is too long for an e-mail address: {_REMEDY}")
    headertext.line(text)
    name, address = _split(text.strip(" "))
    local, at, domain = address.rpartition("@")
    if not (at and local and domain):
        raise ValueError(f"{shown(text)} is not an e-mail address: {_remedy(text)}")
    if not local.isascii():
        raise ValueError(
            f"{shown(text)} is not an address that SES sends to: only ASCII may stand before the @"
        )
    if not _DOT.search(domain):
        raise ValueError(f"{shown(text)} has no full domain: write one like example.com after the @")
    try:
        valid = _valid(address)
    except EmailNotValidError as exc:
        raise ValueError(f"{shown(text)} is not an e-mail address ({_reason(exc)}): {_remedy(text)}") from exc
    return f"{name} <{valid}>" if name else valid


def _valid(address: str) -> str:
    """Return the address as email-validator normalises it, its domain in ASCII."""
    rest, _, last = address.rpartition(".")
    last = last.lower()
    if last in _DEVELOPMENT:
        return _valid(f"{rest}.test").removesuffix("test") + last
    valid = validate_email(address, check_deliverability=False, test_environment=True, strict=True)
    return f"{valid.ascii_local_part}@{valid.ascii_domain}"


def _split(text: str) -> tuple[str, str]:
    """Return the display name as written, and the address."""
    if not text.endswith(">") or "<" not in text:
        return "", text
    start = text.rindex("<")
    name = text[:start].strip(" ")
    if len(name) > NAME_LIMIT:
        raise ValueError(f"{shown(name)} is too long for a display name: use {NAME_LIMIT} characters at most")
    # Without its quotes such a name is rather a list of addresses, or an address cut in two.
    if not _QUOTED.fullmatch(name) and ("<" in name or ">" in name or ("@" in name and "," in name)):
        raise ValueError(
            f"{shown(text)} is not one e-mail address: give several as a list, "
            'or put the name into quotes: "Name" <local@domain>'
        )
    return ("" if not _written(name).strip(" ") else name), text[start + 1 : -1].strip(" ")


def _written(name: str) -> str:
    quoted = _QUOTED.fullmatch(name)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else name


def _remedy(text: str) -> str:
    several = text.count("@") > 1 and ("," in text or ";" in text)
    return "give several addresses as a list" if several else _REMEDY


def _reason(exc: EmailNotValidError) -> str:
    reason = str(exc).rstrip(".")
    return reason[:1].lower() + reason[1:160]


@lru_cache(maxsize=4096)
def _encoded(address: str) -> str:
    start = address.rindex("<")
    name = _written(address[:start].strip(" "))
    if not name.isascii():
        words = " ".join(f"=?UTF-8?B?{b64encode(piece).decode()}?=" for piece in _pieces(name))
        return f"{words} {address[start:]}"
    # What was written as an encoded word already consists of atoms, and stays what it is.
    return f"{name if _ATOMS.fullmatch(name) else _quoted(name)} {address[start:]}"


def _quoted(name: str) -> str:
    return f'"{quote(name)}"'


def _pieces(name: str) -> list[bytes]:
    """Cut a name into UTF-8 pieces for encoded words, never inside a character."""
    pieces = [b""]
    for character in name:
        encoded_character = character.encode()
        if len(pieces[-1]) + len(encoded_character) > _ENCODED_WORD:
            pieces.append(b"")
        pieces[-1] += encoded_character
    return pieces
