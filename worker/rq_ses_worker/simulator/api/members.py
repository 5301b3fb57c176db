"""What stands in a SendEmail request beside sender, recipients and content, checked as SES checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from rq_ses.message import limits
from rq_ses_worker.simulator.api.checks import (
    bad,
    blob_of,
    check_pairs,
    check_text,
    check_word,
    constraint,
    items_of,
    members_of,
    missing,
)

_HEADER_NAME: Final = re.compile(rf"[!-9;-@A-~]{{1,{limits.HEADER_NAME.most}}}")
_HEADER_VALUE: Final = re.compile(rf"[ -~]{{1,{limits.HEADER_VALUE.most}}}")
_TAG: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.TAG.most}}}")
_SWITCH: Final = ("ENABLED", "DISABLED")
_ANY: Final = re.compile(r"(?s).+")
_ARN: Final = re.compile(r"arn:[a-z0-9-]+:ses:[a-z0-9-]+:[0-9]{12}:identity/\S+")


def check_members(request: Mapping[str, Any]) -> None:
    """Check identities, tenant, list and overrides of a request. Raises Refused."""
    if request.get("EndpointId") is not None:
        raise bad("EndpointId names a multi-region endpoint, which takes requests signed by SigV4A alone.")
    for name in ("FromEmailAddressIdentityArn", "FeedbackForwardingEmailAddressIdentityArn"):
        check_text(request.get(name), name[:1].lower() + name[1:], _ARN)
    check_text(request.get("TenantName"), "tenantName", _ANY)
    check_text(request.get("ConfigurationSetName"), "configurationSetName", _ANY)
    listed = request.get("ListManagementOptions")
    if listed is not None:
        listed = members_of(listed, "listManagementOptions")
        if listed.get("ContactListName") is None:
            raise missing("listManagementOptions.contactListName")
        for name in ("ContactListName", "TopicName"):
            check_text(listed.get(name), f"listManagementOptions.{name[:1].lower()}{name[1:]}", _ANY)
    overrides = request.get("ConfigurationOverrides")
    if overrides is not None:
        tracking = members_of(overrides, "configurationOverrides").get("Tracking")
        tracking = {} if tracking is None else members_of(tracking, "configurationOverrides.tracking")
        for name in ("OpenTrackingEnabled", "ClickTrackingEnabled"):
            where = f"configurationOverrides.tracking.{name[:1].lower()}{name[1:]}"
            check_word(tracking.get(name), where, _SWITCH)


def check_tags(tags: Any, where: str) -> None:
    """Check a list of tags. Raises Refused."""
    check_pairs(tags, where, _TAG, _TAG)


def check_headers(headers: Any, where: str) -> None:
    """Check a list of headers. Raises Refused."""
    check_pairs(headers, where, _HEADER_NAME, _HEADER_VALUE)
    if headers is not None and len(headers) > limits.HEADERS.most:
        raise constraint(where, f"have length less than or equal to {limits.HEADERS.most}")


def check_attachments(attachments: Any, where: str) -> None:
    """Check a list of attachments. Raises Refused."""
    for number, attachment in enumerate(items_of(attachments, where), 1):
        place = f"{where}.{number}.member"
        attachment = members_of(attachment, place)
        if not attachment.get("FileName"):
            raise missing(f"{place}.fileName")
        blob_of(attachment.get("RawContent"), f"{place}.rawContent")
        _check_attachment(attachment, place)


def _check_attachment(attachment: Mapping[str, Any], where: str) -> None:
    """Check what an attachment says of itself, beside its name and content. Raises Refused."""
    for name, words in (
        ("ContentDisposition", ("ATTACHMENT", "INLINE")),
        ("ContentTransferEncoding", ("BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT")),
    ):
        check_word(attachment.get(name), f"{where}.{name[:1].lower()}{name[1:]}", words)
    for name, limit, least in (
        ("FileName", limits.FILENAME, 1),
        ("ContentType", limits.CONTENT_TYPE, 1),
        ("ContentId", limits.CONTENT_ID, 1),
        ("ContentDescription", limits.CONTENT_DESCRIPTION, 0),
    ):
        pattern = re.compile(rf"(?s).{{{least},{limit.most}}}")
        check_text(attachment.get(name), f"{where}.{name[:1].lower()}{name[1:]}", pattern)
