"""The certificates that speak for SNS's signatures: from files, or from where they are published."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from rq_ses.feedback.fetching import NotFetched, fetch
from rq_ses.feedback.signature import public_key
from rq_ses.feedback.topic import CERTIFICATE_NAME
from rq_ses.text.invalid import shown

MOST_KEPT: Final = 64
"""Certificates; SNS has one a region, and changes it once a year or so."""

MOST_AT_A_TIME: Final = 4
"""Fetches: a stranger can name certificates that there aren't, as many as he likes."""

_PATIENCE: Final = 5.0


class Unavailable(OSError):
    """Raised when a certificate can't be had now; what it should speak for may be genuine."""


class Certificates:
    """Keys of certificates, fetched when they are first needed; threads may share an object.

    Only what worked is kept: a failure says nothing of the next attempt.

    Args:
        files: certificates in PEM; each is named like the file of its address, and is never fetched.
        fetch: gets an address that has been checked. It may raise NotFetched.

    Raises:
        ValueError: a file can't be used.
    """

    def __init__(self, files: Iterable[str | Path] = (), fetch: Callable[[str], bytes] = fetch) -> None:
        self._files = {Path(file).name: _key_in(Path(file)) for file in files}
        self._fetched: dict[str, RSAPublicKey] = {}
        self._fetch = fetch
        self._room = threading.BoundedSemaphore(MOST_AT_A_TIME)

    def key(self, url: str, name: str) -> RSAPublicKey:
        """Return the key of the certificate at an address.

        Args:
            url: the address, which must be known to be SNS's.
            name: of its file (Topic.certificate).

        Raises:
            Unavailable: it can't be had now.
        """
        key = self._files.get(name) or self._fetched.get(url)
        if key is None:
            key = self._get(url)
            while len(self._fetched) >= MOST_KEPT:
                self._fetched.pop(next(iter(self._fetched)), None)
            self._fetched[url] = key
        return key

    def _get(self, url: str) -> RSAPublicKey:
        if not self._room.acquire(timeout=_PATIENCE):
            raise Unavailable("too many certificates are being fetched at a time")
        try:
            return public_key(self._fetch(url))
        except (NotFetched, ValueError) as exc:
            raise Unavailable(f"the certificate can't be fetched ({exc})") from exc
        finally:
            self._room.release()


def _key_in(file: Path) -> RSAPublicKey:
    try:
        key = public_key(file.read_bytes())
    except OSError as exc:
        raise ValueError(f"{shown(str(file), 200)} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ValueError(f"{shown(str(file), 200)} is no certificate of SNS's in PEM: {exc}") from exc
    if not re.fullmatch(CERTIFICATE_NAME, file.name):
        raise ValueError(
            f"{shown(str(file), 200)} would never be looked at: name the file as SNS does in the "
            "SigningCertURL of its messages, SimpleNotificationService-….pem"
        )
    return key
