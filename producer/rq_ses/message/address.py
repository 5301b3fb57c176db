"""E-mail addresses as SES takes them: `local@domain` or `Name <local@domain>`, in ASCII once rendered.

The local part must be ASCII and the domain becomes punycode (SES v2 API, SendEmail: EmailAddress). A local
part in quotes (`"abc..def"@docomo.example`, RFC 5321, 4.1.2) keeps them where it needs them. A display name
stays as it was written, quotes included, until it is rendered as an atom, quoted string or encoded word.
"""

from __future__ import annotations

import re
from base64 import b64encode
from email.utils import quote
from functools import lru_cache
from typing import Final

from email_validator import EmailNotValidError, validate_email

from rq_ses.message import headertext
from rq_ses.message.limits import ADDRESS, DISPLAY_NAME, LOCAL_PART
from rq_ses.text.invalid import shown

_REMEDY: Final = "write local@domain or Name <local@domain>"

_DEVELOPMENT: Final = frozenset({"invalid", "local", "localhost"})
"""Reserved domains (RFC 6761, 6762) that email-validator refuses, and that stand-ins for SES are fed with."""

# Only what email-validator takes as it stands: no capitals (it lowers "INFO@" but not "Ann@"), no "--", and
# none of the reserved domains.
_PLAIN: Final = re.compile(
    rf"(?=[^@]{{1,{LOCAL_PART.most}}}@)"
    r"(?=.{6,254}\Z)(?!.*--)(?!.*\.(?:arpa|invalid|local|localhost|onion)\Z)"
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
_PLAIN_LOCAL: Final = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")
_plain_domains: Final[set[str]] = set()
"""Domains of plain addresses that were met."""
_DOMAINS_KEPT: Final = 10_000
_DOT: Final = re.compile(r"[.\u3002\uff0e\uff61]")
"""The dot and those that IDNA takes for one (RFC 3490, section 3.1)."""

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_QUOTED_LOCAL: Final = re.compile(r'< *"(?:[^"\\]|\\.)*"@[^<>@"]*>\Z')
"""An address in angle brackets with a quoted local part, which may hold angle brackets itself."""

_ODD_DOTS: Final = re.compile(r"(?=\.|[^@]*\.\.|[^@]*\.\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,62}")
"""What is an atom but for where its dots stand: real at some carriers, and valid in quotes."""

_HOST: Final = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}")
_ESCAPED: Final = re.compile(r"\\(.)")
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ENCODED_WORD: Final = 45
"""Bytes of UTF-8 that fit into one encoded word: 75 characters at most (RFC 2047, section 2)."""


def normalise(text: str) -> str:
    """Return an address with its domain in ASCII, its display name as written.

    Raises ValueError, with the value and the remedy, if it is not one address.
    """
    # What has a display name isn't plain: most senders', which are known already.
    return _normalise(text) if text.endswith(">") or not _PLAIN.fullmatch(text) else text


def is_plain(text: str) -> bool:
    """Tell whether an address is surely one, which `normalise` returns as it is."""
    local, _, domain = text.rpartition("@")
    # Many have the same domain, which is judged once.
    if domain in _plain_domains and "--" not in local and len(local) <= LOCAL_PART.most and len(text) <= 254:
        return _PLAIN_LOCAL.fullmatch(local) is not None
    if not _PLAIN.fullmatch(text):
        return False
    if len(_plain_domains) < _DOMAINS_KEPT:
        _plain_domains.add(domain)
    return True


def bare(address: str) -> str:
    """Return `local@domain` of a normalised address."""
    return address[_opening(address) + 1 : -1] if address[-1] == ">" else address


def encoded(address: str) -> str:
    """Return a normalised address in the ASCII form of a header."""
    return _encoded(address) if address[-1] == ">" else address


@lru_cache(maxsize=4096)
def _normalise(text: str) -> str:
    if len(text) > ADDRESS.most:
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
        remedy = _remedy(text, local, domain)
        raise ValueError(f"{shown(text)} is not an e-mail address ({_reason(exc)}): {remedy}") from exc
    if valid.rindex("@") > LOCAL_PART.most:
        raise ValueError(
            f"{shown(text)} has more than {LOCAL_PART.most} characters before the @, quotes included: "
            f"{_REMEDY}"
        )
    return f"{name} <{valid}>" if name else valid


def _valid(address: str) -> str:
    """Return the address as email-validator normalises it, its domain in ASCII."""
    rest, _, last = address.rpartition(".")
    last = last.lower()
    if last in _DEVELOPMENT:
        return _valid(f"{rest}.test").removesuffix("test") + last
    valid = validate_email(
        address, check_deliverability=False, test_environment=True, strict=True, allow_quoted_local=True
    )
    return f"{valid.ascii_local_part}@{valid.ascii_domain}"


def _split(text: str) -> tuple[str, str]:
    """Return the display name as written, and the address."""
    if not text.endswith(">") or "<" not in text:
        return "", text
    start = _opening(text)
    name = text[:start].strip(" ")
    if len(name) > DISPLAY_NAME.most:
        raise ValueError(
            f"{shown(name)} is too long for a display name: use {DISPLAY_NAME.most} characters at most"
        )
    # Without its quotes such a name is rather a list of addresses, or an address cut in two.
    odd = "<" in name or ">" in name or ("@" in name and "," in name)
    # Before a local part in quotes a quote that is left open could be the beginning of either.
    odd = odd or ('"' in _QUOTED.sub("", name) and text.endswith('"', 0, text.rindex("@")))
    if odd and not _QUOTED.fullmatch(name):
        raise ValueError(
            f"{shown(text)} is not one e-mail address: give several as a list, "
            'or put the name into quotes: "Name" <local@domain>'
        )
    return ("" if not _written(name).strip(" ") else name), text[start + 1 : -1].strip(" ")


def _opening(text: str) -> int:
    """Return where the angle bracket of the address stands, in a text that ends with one."""
    quoted = _QUOTED_LOCAL.search(text) if '"@' in text else None
    return quoted.start() if quoted else text.rindex("<")


def _written(name: str) -> str:
    quoted = _QUOTED.fullmatch(name)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else name


def _remedy(text: str, local: str = "", domain: str = "") -> str:
    if text.count("@") > 1 and ("," in text or ";" in text):
        return "give several addresses as a list"
    if _ODD_DOTS.fullmatch(local) and _HOST.fullmatch(domain):
        return f'if it is really spelled so, write it in quotes: "{local}"@{domain}'
    return _REMEDY


def _reason(exc: EmailNotValidError) -> str:
    reason = str(exc).rstrip(".")
    return reason[:1].lower() + reason[1:160]


@lru_cache(maxsize=4096)
def _encoded(address: str) -> str:
    start = _opening(address)
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
