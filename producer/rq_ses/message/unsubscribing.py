"""Unsubscribing with one click (RFC 8058): one link, and the two headers that are made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Strict

from rq_ses.message.limits import HEADER_LINE, HEADERS

LINK: Final = "List-Unsubscribe"
ONE_CLICK: Final = "List-Unsubscribe-Post"

LONGEST: Final = HEADER_LINE.most - len(LINK) - len("<>")
"""Characters of a link that fit into the header."""

_HTTPS: Final = re.compile(r"https://[A-Za-z0-9\[][!-;=?-~]*", re.IGNORECASE)


def _link(url: str) -> str:
    # The link is a secret of its recipient's, so it isn't quoted.
    if not _HTTPS.fullmatch(url):
        raise ValueError(
            "is no https link of printable ASCII: give one like https://example.com/u/TOKEN, which "
            "unsubscribes by a POST (RFC 8058), other characters percent-encoded"
        )
    if len(url) > LONGEST:
        raise ValueError(f"has {len(url)} characters: {LONGEST} fit into a header, so use a shorter token")
    return url


Unsubscribe = Annotated[str, Strict(), AfterValidator(_link)]


def unsubscribe_headers(url: str) -> dict[str, str]:
    """Return the headers that a link becomes."""
    return {LINK: f"<{url}>", ONE_CLICK: "List-Unsubscribe=One-Click"}


def unsubscribe_problems(
    url: str | None, headers: Mapping[str, str], *, listed: bool
) -> list[tuple[str, str]]:
    """Return why a link can't be written: the field, and the problem.

    Args:
        url: the link, None if there is none.
        headers: those that the message has.
        listed: whether the mail belongs to a contact list, for which SES writes the same headers.
    """
    if url is None:
        return []
    own = [name for name in headers if name.lower() in (LINK.lower(), ONE_CLICK.lower())]
    if own:
        return [("unsubscribe", f"it writes {own[0]}, which headers has as well: give one of them")]
    if listed:
        return [("unsubscribe", f"list_management has SES write {LINK}: give one of them")]
    if len(headers) + 2 > HEADERS.most:
        return [
            ("headers", f"{len(headers)} and the 2 of unsubscribe are too many: give {HEADERS.most} at most")
        ]
    return []
