"""A token that Kubernetes, ECS or a CI keeps in a file, and replaces there before it ends."""

from __future__ import annotations

from rq_ses.text.textfile import NotText, read_text
from rq_ses_worker.identity.provider import ProviderFailed


def read_token(path: str, called: str) -> str:
    """Return the token in a file, "" if it is empty; read it each time, since it is replaced.

    Raises ProviderFailed, with the file as it is `called`, if it can't be read.
    """
    try:
        return read_text(path).strip()
    except OSError as exc:
        raise ProviderFailed(f"{called} {path} cannot be read: {exc.strerror}", lasting=True) from exc
    except NotText:
        raise ProviderFailed(f"{called} {path} is no text", lasting=True) from None
