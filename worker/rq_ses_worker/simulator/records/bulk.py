"""The entries of a SendBulkEmail as mails of their own. Nothing here trusts its input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from rq_ses.campaign.handlebars import merged

_BULK: Final = ("DefaultContent", "DefaultEmailTags", "BulkEmailEntries")


def request_of(body: bytes, entry: int | None) -> Any:
    """Return what `body` says as JSON; with an index, the SendEmail request of this entry.

    Raises ValueError.
    """
    if entry is None:
        return json.loads(body)
    return entry_request(_parsed(body), entry)


def is_bulk(request: Mapping[str, Any]) -> bool:
    """Tell whether it is a SendBulkEmail request."""
    return "DefaultContent" in request or "BulkEmailEntries" in request


def entry_request(request: Mapping[str, Any], index: int | None) -> dict[str, Any]:
    """Return the SendEmail request that would send this entry alone; without an index, to nobody."""
    entries = request.get("BulkEmailEntries")
    found = isinstance(entries, list) and index is not None and 0 <= index < len(entries)
    entry = _members(entries[index]) if found else {}  # type: ignore[index]
    template = dict(_members(_members(request.get("DefaultContent")).get("Template")))
    content = _members(_members(entry.get("ReplacementEmailContent")).get("ReplacementTemplate"))
    replacement = content.get("ReplacementTemplateData")
    if replacement is not None:
        template["TemplateData"] = _data(template.get("TemplateData"), replacement)
    headers = _pairs(template.get("Headers"), entry.get("ReplacementHeaders"))
    tags = _pairs(request.get("DefaultEmailTags"), entry.get("ReplacementTags"))
    return {
        **{name: value for name, value in request.items() if name not in _BULK},
        **({"Destination": entry["Destination"]} if "Destination" in entry else {}),
        "Content": {"Template": template | ({"Headers": headers} if headers else {})},
        **({"EmailTags": tags} if tags else {}),
    }


@lru_cache(maxsize=8)
def _parsed(body: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def _data(default: Any, replacement: Any) -> Any:
    try:
        return json.dumps(merged(_members(json.loads(default or "{}")), json.loads(replacement)))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return replacement


def _pairs(default: Any, own: Any) -> list[Any]:
    """Return names and values of both; where a name stands in both, that of the entry."""
    wanted: list[Any] = own if isinstance(own, list) else []
    names = {_name(pair) for pair in wanted}
    others = default if isinstance(default, list) else []
    return [pair for pair in others if _name(pair) not in names] + wanted


def _name(pair: Any) -> str:
    return str(_members(pair).get("Name")).lower()


def _members(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
