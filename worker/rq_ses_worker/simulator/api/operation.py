"""Which operation of SES v2 a request asks for, by its method and path; any prefix may stand before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from rq_ses_worker.simulator.api.lookups.configurationset import configuration_set_of
from rq_ses_worker.simulator.api.lookups.identity import identity_of

SEND_EMAIL: Final = b"/v2/email/outbound-emails"
SEND_BULK_EMAIL: Final = b"/v2/email/outbound-bulk-emails"
GET_ACCOUNT: Final = b"/v2/email/account"
TEMPLATES: Final = b"/v2/email/templates"
SUPPRESSED: Final = b"/v2/email/suppression/addresses"

_FIXED: Final = {
    ("POST", SEND_EMAIL): "SendEmail",
    ("POST", SEND_BULK_EMAIL): "SendBulkEmail",
    ("GET", GET_ACCOUNT): "GetAccount",
    ("POST", TEMPLATES): "CreateEmailTemplate",
    ("GET", TEMPLATES): "ListEmailTemplates",
    ("GET", SUPPRESSED): "ListSuppressedDestinations",
    ("PUT", SUPPRESSED): "PutSuppressedDestination",
}
_NAMED: Final = {
    "GET": "GetEmailTemplate",
    "PUT": "UpdateEmailTemplate",
    "DELETE": "DeleteEmailTemplate",
}
_RENDER: Final = b"/render"

TEMPLATE_OPERATIONS: Final = frozenset(
    {"CreateEmailTemplate", "ListEmailTemplates", "TestRenderEmailTemplate", *_NAMED.values()}
)


_ADDRESSES: Final = {"GET": "GetSuppressedDestination", "DELETE": "DeleteSuppressedDestination"}

SUPPRESSION_OPERATIONS: Final = frozenset(
    {"ListSuppressedDestinations", "PutSuppressedDestination", *_ADDRESSES.values()}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation by SES's name, and what the request says for it; `name` is what its path names."""

    operation: str
    name: str = ""
    query: str = ""
    body: bytes = b""


def asked(method: str, target: bytes, body: bytes) -> Asked | None:
    """Return what is asked for; None when it isn't an operation that the simulator knows."""
    path, _, query = target.partition(b"?")
    for (verb, ending), operation in _FIXED.items():
        if method == verb and path.endswith(ending):
            return Asked(operation, query=query.decode("latin-1"), body=body)
    if method == "GET" and (identity := identity_of(path)) is not None:
        return Asked("GetEmailIdentity", identity)
    if method == "GET" and (name := configuration_set_of(path)) is not None:
        return Asked("GetConfigurationSetEventDestinations", name)
    _, found, address = path.rpartition(SUPPRESSED + b"/")
    if found and address and b"/" not in address:
        if method not in _ADDRESSES:
            return None
        return Asked(_ADDRESSES[method], _decoded(address), query.decode("latin-1"))
    _, found, named = path.rpartition(TEMPLATES + b"/")
    if not found or not named:
        return None
    if method == "POST" and named.endswith(_RENDER):
        named, operation = named.removesuffix(_RENDER), "TestRenderEmailTemplate"
    elif method in _NAMED:
        operation = _NAMED[method]
    else:
        return None
    if not named or b"/" in named:
        return None
    return Asked(operation, _decoded(named), body=body)


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")
