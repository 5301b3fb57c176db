"""The slot of a cluster in which all keys under a prefix stand: the one of the prefix's hash tag."""

from __future__ import annotations

from typing import Final

from redis.crc import key_slot

from rq_ses.keys import Keys

_TAG: Final = (
    "set RQ_KEY_PREFIX='{mail}' for apps, workers, rq and rq-dashboard alike: its hash tag puts all keys "
    "into one slot (docs/how-to/cluster.md)"
)
_TAGS: Final = (
    "give each partition a tag of its own: RQ_SES_PARTITIONS='{mail0},{mail1}', for apps and workers alike: "
    "its hash tag puts all keys of a partition into one slot (docs/how-to/partitions.md)"
)


def tag_remedy() -> str:
    """Return what to do about keys that lie in several slots: a partition's, if our own prefix has a tag."""
    return _TAGS if is_tagged(Keys.own().prefix) else _TAG


def is_tagged(prefix: str) -> bool:
    """Tell whether a prefix has a hash tag, so that all keys that begin with it are in one slot."""
    _, brace, rest = prefix.partition("{")
    # The first pair of braces counts, and an empty one is none.
    return bool(brace) and rest.find("}") > 0


def slot_of(prefix: str) -> int:
    """Return the slot (0 to 16383) of the keys under a prefix; without a tag, of a key so named."""
    return key_slot(prefix.encode())
