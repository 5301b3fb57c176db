"""The partitions of a queue: how their prefixes are written, and which of them a job belongs to."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from rq_ses.keys import VARIABLE as _PREFIX
from rq_ses.keys import Keys
from rq_ses.text.invalid import shown

VARIABLE: Final = "RQ_SES_PARTITIONS"

MOST: Final = 64

_FORM: Final = 'give prefixes as in ["{mail0}", "{mail1}"], or "{mail0},{mail1}"'

MOVING: Final = "rq-ses partitions move"
"""What RQ's key `suspended` holds until a move to other partitions has come to its end."""


def resuming(prefixes: Sequence[str], *, moving: bool) -> str:
    """Return how what RQ's suspension holds goes on.

    Args:
        prefixes: those under which it does; none is the deployment's own.
        moving: whether it is a move that has suspended them.
    """
    if moving:
        return f"run `{MOVING}` again to its end (don't `rq resume`)"
    return ", ".join(
        "`rq resume`" if one == "rq" else f"`{_PREFIX}={shlex.quote(one)} rq resume`"
        for one in prefixes or ["rq"]
    )


def partition_of(job_id: str, count: int) -> int:
    """Return the place of a job's partition among so many, from 0.

    A mail's id is the hash of its key, so a key meets the same partition as long as their number and their
    order stay; without a key an id is random.
    """
    return crc32(job_id.encode("utf-8", "surrogateescape")) % count


def read_partitions(given: str | Sequence[str], own: str) -> tuple[str, ...]:
    """Return the prefixes of a queue's partitions, each fit to be RQ's; none of "" or an empty list.

    Args:
        given: prefixes in a list, or as text with a comma between two.
        own: the prefix of the deployment itself, under which stands what is one for all.

    Raises:
        ValueError: what is given can't be used.
        TypeError: it is neither text nor a list of texts.
    """
    prefixes = _listed(given)
    if not prefixes:
        return ()
    if not 2 <= len(prefixes) <= MOST:
        number = "is a single prefix" if len(prefixes) == 1 else f"has {len(prefixes)} prefixes"
        raise ValueError(
            f"{shown(','.join(prefixes))} {number}: give 2 to {MOST} with a comma between two, "
            "as in {mail0},{mail1}, or none for a queue without partitions"
        )
    for place, prefix in enumerate(prefixes):
        try:
            Keys(prefix)
        except ValueError as exc:
            raise ValueError(str(exc).partition(": ")[2]) from None
        if prefix in prefixes[:place]:
            raise ValueError(f"{shown(prefix)} is named twice: give each partition a prefix of its own")
    _check_apart([own, *prefixes], own)
    return tuple(prefixes)


def _listed(given: object) -> list[str]:
    """Return prefixes as they were given, without what stands around them. Raises ValueError, TypeError."""
    if isinstance(given, str):
        prefixes = [one.strip() for one in given.split(",")] if given.strip() else []
        if "" in prefixes:
            raise ValueError(f"{shown(given)} has an empty name: remove the comma, or give a name")
        return prefixes
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise TypeError(f"{shown(given)} is neither text nor a list: {_FORM}")
    for one in given:
        if not isinstance(one, str):
            raise TypeError(f"{shown(one)} in the list is no text: {_FORM}")
        if not one.strip():
            raise ValueError(f"{shown(one)} in the list is an empty name: leave it out, or give a name")
        if "," in one:
            raise ValueError(f"{shown(one)} in the list holds a comma: {_FORM}")
    return [one.strip() for one in given]


def partition_keys(given: str | Sequence[str], own: Keys) -> list[Keys]:
    """Return the keys of each partition, as `read_partitions` takes them; else `own`. Raises as it does."""
    try:
        return [Keys(prefix) for prefix in read_partitions(given, own.prefix)] or [own]
    except (ValueError, TypeError) as exc:
        raise type(exc)(f"partitions: {exc}") from exc


def _check_apart(prefixes: Sequence[str], own: str) -> None:
    """Raise ValueError if what stands under one prefix could be taken for what stands under another."""
    if own in prefixes[1:]:
        raise ValueError(
            f"{shown(own)} is the deployment's own prefix (RQ_KEY_PREFIX): give each partition another one"
        )
    for one in prefixes:
        for other in prefixes:
            if other.startswith(f"{one}:"):
                raise ValueError(
                    f"{shown(other)} begins with {shown(one)} and a colon, as keys under that prefix do: "
                    "give prefixes that stand apart, such as {mail0},{mail1}"
                )
