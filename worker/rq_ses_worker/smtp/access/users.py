"""Who may log in: a file of names and hashes, and the check of a password against them.

    # name    hash                                        what the user may do besides
    wordpress $scrypt$ln=15,r=8,p=1$SALT$HASH
    shop      $scrypt$ln=15,r=8,p=1$SALT$HASH             headers senders=shop.example.com

`headers` allows the headers that are commands (X-SES-…, X-Rq-Ses-Priority), `senders=` a list of addresses
and domains in place of RQ_SES_SMTP_SENDERS. The hash is scrypt's (RFC 7914): `rq-ses smtp hash-password`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rq_ses.errors import SettingsError
from rq_ses.text.invalid import shown
from rq_ses_worker.settings.smtp import read_senders

LEAST_PASSWORD: Final = 8
"""Characters."""

_COST: Final = 15
_HASH: Final = re.compile(
    r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,2}),p=(?P<p>\d{1,2})\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{43})"
)
_NAME: Final = re.compile(r"[!-~]{1,128}")
_WEAKEST, _COSTLIEST = 14, 17
_MEMORY: Final = 160 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """What is kept of a password."""

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: bytes) -> PasswordHash:
        """Return the hash of a new password."""
        salt = os.urandom(16)
        return cls(_COST, 8, 1, salt, _scrypt(password, salt, _COST, 8, 1))

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Return the hash that a file holds. Raises ValueError."""
        match = _HASH.fullmatch(text)
        if not match:
            raise ValueError("is no hash of a password: make one with rq-ses smtp hash-password")
        ln, r, p = int(match["ln"]), int(match["r"]), int(match["p"])
        if not (_WEAKEST <= ln <= _COSTLIEST and r == 8 and 1 <= p <= 4):
            raise ValueError(
                f"is a hash of other costs (here ln is {_WEAKEST} to {_COSTLIEST}, r 8, p 1 to 4): "
                "make one with rq-ses smtp hash-password"
            )
        return cls(ln, r, p, _unpadded(match["salt"]), _unpadded(match["hash"]))

    def __str__(self) -> str:
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${_padless(self.salt)}${_padless(self.digest)}"

    def matches(self, password: bytes) -> bool:
        """Tell whether it is this password's. Takes a tenth of a second and 32 MB; other threads go on."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.ln, self.r, self.p), self.digest)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in."""

    name: str
    password: PasswordHash = field(repr=False)
    headers: bool = False
    """May set headers that are commands."""
    senders: frozenset[str] = frozenset()
    """What its mails may be from, in place of what the settings say."""


class Users:
    """Those of a file, and a memory of the passwords that were right: digests under a key of chance."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = users
        self._key = os.urandom(32)
        self._known: dict[str, bytes] = {}
        self._nobody = PasswordHash(_COST, 8, 1, os.urandom(16), os.urandom(32))

    def __len__(self) -> int:
        return len(self._users)

    def still(self, user: User) -> User | None:
        """Return what is known now of a user who has logged in before; None if it may no longer, that way."""
        found = self._users.get(user.name)
        return found if found and found.password == user.password else None

    def remembered(self, name: str, password: bytes) -> User | None:
        """Return the user whose password was found right before, at once."""
        known = self._known.get(name)
        if known is None or not hmac.compare_digest(known, self._digest(name, password)):
            return None
        return self._users.get(name)

    def checked(self, name: str, password: bytes) -> User | None:
        """Return the user if the password is right; takes as long for a name that nobody has."""
        user = self._users.get(name)
        right = (user.password if user else self._nobody).matches(password)
        if not (user and right):
            return None
        self._known[name] = self._digest(name, password)
        return user

    def _digest(self, name: str, password: bytes) -> bytes:
        return hmac.digest(self._key, name.encode() + b"\0" + password, "sha256")


def read_users(path: str) -> Users:
    """Return the users of a file. Raises SettingsError, with a line for each bad line of the file."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "it is no text in UTF-8"
        raise SettingsError([f"RQ_SES_SMTP_USERS: {shown(path)} can't be read: {reason}"]) from exc
    users: dict[str, User] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            user = parse_user(line)
        except ValueError as exc:
            problems.append(f"RQ_SES_SMTP_USERS: {path}, line {number}: {exc}")
            continue
        if user.name in users:
            problems.append(
                f"RQ_SES_SMTP_USERS: {path}, line {number}: {shown(user.name)} stands there twice"
            )
        users[user.name] = user
    if not users and not problems:
        problems.append(f"RQ_SES_SMTP_USERS: {path} has no user: add one with rq-ses smtp hash-password NAME")
    if problems:
        raise SettingsError(problems)
    return Users(users)


def parse_user(line: str) -> User:
    """Return the user of a line. Raises ValueError, which shows nothing of a hash."""
    name, *rest = line.split()
    checked_name(name)
    if not rest:
        raise ValueError(f"{shown(name)} has no hash: make one with rq-ses smtp hash-password {name}")
    try:
        password = PasswordHash.parse(rest[0])
    except ValueError as exc:
        raise ValueError(f"what stands behind {shown(name)} {exc}") from None
    headers, senders = False, frozenset[str]()
    for word in rest[1:]:
        if word == "headers":
            headers = True
        elif word.startswith("senders="):
            senders = read_senders(word.removeprefix("senders="))
        else:
            raise ValueError(
                f"{shown(word)} is not known: there are headers, and senders=LIST without spaces"
            )
    return User(name, password, headers, senders)


def checked_name(name: str) -> str:
    """Return the name of a user. Raises ValueError if it can't be one's."""
    if not _NAME.fullmatch(name) or name.startswith("#"):
        raise ValueError(f"{shown(name)} is no name: use 1-128 printable ASCII characters, no spaces")
    return name


def _scrypt(password: bytes, salt: bytes, ln: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _padless(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _unpadded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
