"""What an HTTP answer says, read without trusting it: SES, its front ends and any proxy may have written it.

What it means for the mail is decided in rq_ses_worker.ses.outcome.

The rule for the error's name and text is that of AWS's restJson1 protocol and its SDKs: the name is in the
header x-amzn-ErrorType, else in the body's `__type`, else in `code` or `Code`; it is cut at the first `:`
and what follows the last `#` is kept. The text is the body's `message`, else `Message`.
https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
"""

from __future__ import annotations

import html
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from rq_ses.text.jsontext import read_json
from rq_ses_worker.ses.wire.headers import lower_names

_JSON_BOUND: Final = 1 << 20
_XML_BOUND: Final = 4096

_PAGE: Final = re.compile(
    r"(?:<!--(?:(?!-->).)*-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype|html|head|body|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_ROOT: Final = re.compile(r"(?:<\?xml[^>]*>\s*)?<(?:\w+:)?(\w+(?:Exception|Failure))\b[^>]*>")


class Answer(NamedTuple):
    """Hold what an answer's headers and body say; text that is absent is None, or "" for the message."""

    code: str | None
    message: str
    request_id: str | None
    message_id: str | None
    is_foreign: bool
    """True if the body is a page, a text or else what SES never writes: neither empty nor an object."""
    content_type: str
    beginning: str
    """The first characters of the body."""

    @property
    def first_words(self) -> str:
        """Return what answered, as far as it says: the content type, and the text without its markup."""
        words = html.unescape(_MARKUP.sub(" ", self.beginning))
        return ": ".join(filter(None, [self.content_type, " ".join(words.split())]))


def read(headers: Mapping[str, str], body: bytes) -> Answer:
    """Return what an answer says; any headers and any bytes will do, nothing is raised."""
    by_name = lower_names(headers)
    text = bytes(body[:_JSON_BOUND]).removeprefix(BOM_UTF8).decode("utf-8", "replace").strip()
    if text.startswith("<"):
        members = {} if _PAGE.match(text[:_XML_BOUND]) else _xml_members(text[:_XML_BOUND])
        is_foreign = "MessageId" not in members
    else:
        members = _json_members(text)
        is_foreign = bool(text) and text[0] != "{"
    names = by_name.get("x-amzn-errortype"), *map(members.get, _NAMES)
    code = _short_name(names)
    message = _first(members, "message", "Message") or ""
    request_id = _first(by_name, "x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id") or _first(
        members, "RequestId", "RequestID", "requestId"
    )
    message_id, content_type = _first(members, "MessageId"), by_name.get("content-type", "")
    return Answer(code, message, request_id, message_id, is_foreign, content_type, text[:_XML_BOUND])


def _short_name(names: Iterable[object]) -> str | None:
    """Return the first of the names that is one, without what may stand around it."""
    for name in names:
        if isinstance(name, str):
            short = name.partition(":")[0].rpartition("#")[2].strip()
            if short:
                return short
    return None


def _first(members: Mapping[str, object], *keys: str) -> str | None:
    for key in keys:
        value = members.get(key)
        if isinstance(value, str) and value.strip():
            return value
    return None


_NAMES: Final = ("__type", "code", "Code")


def _json_members(text: str) -> dict[str, object]:
    if not text.startswith("{"):
        return {}
    try:
        members: dict[str, object] = read_json(text)
    except (ValueError, RecursionError):
        return _cut_members(text)
    # One level down: {"Error": {"Code": …, "Message": …}, "RequestId": …} in the v1 API's JSON form, and
    # {"Output": {"__type": …, "message": …}, "Version": …} of AWS's front end for an unknown operation.
    for inner in members.values():
        if isinstance(inner, dict) and not inner.keys().isdisjoint(_NAMES):
            return {**inner, **members}
    return members


_MEMBER: Final = re.compile(r'"(__type|code|Code|message|Message|MessageId)"\s*:\s*("(?:[^"\\]|\\.)*")')


def _cut_members(text: str) -> dict[str, object]:
    # An answer that broke off still holds its first members whole.
    members: dict[str, object] = {}
    for found in _MEMBER.finditer(text[:_XML_BOUND]):
        try:
            members.setdefault(found[1], read_json(found[2]))
        except ValueError:
            continue
    return members


def _xml_members(text: str) -> dict[str, object]:
    # Not an XML parser: entities a stranger defines must not be expanded.
    members: dict[str, object] = {}
    for tag in ("Code", "Message", "MessageId", "RequestId", "RequestID"):
        found = re.search(rf"<(?:\w+:)?{tag}\s*>([^<]*|\s*<!\[CDATA\[.*?\]\]>\s*)</", text, re.DOTALL)
        if found:
            value = re.sub(r"^\s*<!\[CDATA\[|\]\]>\s*$", "", found[1])
            members[tag] = html.unescape(value).strip()
    if "Code" not in members and (root := _ROOT.match(text)):
        members["Code"] = root[1]
    return members
