"""A bulk job as the request of SES v2's SendBulkEmail, exact to AWS's model; nothing empty is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from rq_ses.campaign.bulkjob import QueuedEntry
from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.preparing import Preparation, Prepared
from rq_ses.contract import JOB_TAG
from rq_ses.message.address import encoded
from rq_ses.message.render import rendered_attachment, rendered_tracking


class BulkRequests:
    """Makes the requests of one campaign; threads may share it.

    What all of them say is rendered once. How SES joins the tags of an entry with those of the request isn't
    documented, so each entry has all of its own; its headers are documented to come beside the request's.

    Args:
        campaign: one whose template SES fills.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._preparation = Preparation(campaign)
        self._tags = dict(campaign.tags)
        self._heads: dict[str | None, bytes] = {}

    def body(self, entries: Sequence[QueuedEntry]) -> bytes:
        """Return the request for some entries as compact JSON in UTF-8: the bytes to sign and to send."""
        prepared = self._preparation.of(entries)
        # The html alone differs between requests, and has two forms at most.
        head = self._heads.get(prepared.html)
        if head is None:
            head = self._heads[prepared.html] = self._head(prepared)
        shown = [
            self._entry(entry, data, headers)
            for entry, data, headers in zip(entries, prepared.data, prepared.headers, strict=True)
        ]
        return b'%s,"BulkEmailEntries":%s}' % (head, to_json(shown))

    def _head(self, prepared: Prepared) -> bytes:
        request = {name: value for name, value in self._members(prepared) if value}
        return to_json(request)[:-1]

    def _members(self, prepared: Prepared) -> Iterator[tuple[str, Any]]:
        campaign = self._campaign
        yield "FromEmailAddress", encoded(campaign.sender)
        yield "FromEmailAddressIdentityArn", campaign.from_email_arn
        yield "ReplyToAddresses", [encoded(one) for one in campaign.reply_to]
        yield "FeedbackForwardingEmailAddress", campaign.feedback_to and encoded(campaign.feedback_to)
        yield "FeedbackForwardingEmailAddressIdentityArn", campaign.feedback_arn
        yield "DefaultContent", {"Template": self._template(prepared)}
        yield "ConfigurationSetName", campaign.configuration_set
        yield "TenantName", campaign.tenant
        overrides = campaign.configuration_overrides
        yield "ConfigurationOverrides", overrides and {"Tracking": rendered_tracking(overrides)}

    def _template(self, prepared: Prepared) -> dict[str, Any]:
        campaign, template = self._campaign, self._campaign.template
        content = {"Subject": prepared.subject, "Text": prepared.text, "Html": prepared.html}
        members = {
            "TemplateName": template.name,
            "TemplateContent": {part: text for part, text in content.items() if text},
            "TemplateData": "{}",
            "Headers": _pairs(campaign.headers),
            "Attachments": [rendered_attachment(one) for one in campaign.attachments],
        }
        return {name: value for name, value in members.items() if value}

    def _entry(self, entry: QueuedEntry, data: str, headers: Mapping[str, str]) -> dict[str, Any]:
        tags = {**self._tags, **entry.tags, JOB_TAG: entry.id} if self._tags or entry.tags else None
        shown: dict[str, Any] = {
            "Destination": {"ToAddresses": [encoded(entry.to)]},
            "ReplacementTags": _pairs(tags) if tags else [{"Name": JOB_TAG, "Value": entry.id}],
        }
        if data != "{}":
            shown["ReplacementEmailContent"] = {"ReplacementTemplate": {"ReplacementTemplateData": data}}
        if headers:
            shown["ReplacementHeaders"] = _pairs(headers)
        return shown


def _pairs(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs.items()]
