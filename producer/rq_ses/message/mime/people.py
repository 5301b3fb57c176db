"""Names and addresses in a header, read alike by all Pythons."""

from __future__ import annotations

from collections.abc import Iterable
from email import utils
from typing import Any


def people(values: Iterable[str]) -> list[tuple[str, str]]:
    """Return names ("" for none) and addresses of headers; groups and what is no address are left out.

    Newer Pythons give nothing at all of headers of which one is odd, and the others would be lost, too.
    """
    lenient: dict[str, Any] = {"strict": False} if getattr(utils, "supports_strict_parsing", False) else {}
    return [(name, address) for name, address in utils.getaddresses(list(values), **lenient) if address]
