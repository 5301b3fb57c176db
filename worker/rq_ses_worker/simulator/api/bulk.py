"""What SendBulkEmail is asked to send, checked as SES checks it: the request as a whole, then each entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rq_ses.campaign.handlebars import merged
from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.api.checks import bad, constraint, items_of, json_of, members_of, missing
from rq_ses_worker.simulator.api.members import check_headers, check_members, check_tags
from rq_ses_worker.simulator.api.submission import check_replies, recipients_of, sender_of
from rq_ses_worker.simulator.api.templating.reading import read_data, read_template
from rq_ses_worker.simulator.api.templating.store import Templates
from rq_ses_worker.simulator.templated import Templated

MAX_ENTRIES: Final = 50
"""https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of them: bare addresses in the order To, Cc, Bcc, and its data; or why SES takes no such entry."""

    recipients: tuple[str, ...] = ()
    template: Templated | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class BulkSubmission:
    """One SendBulkEmail request."""

    sender: str
    entries: tuple[Entry, ...]

    @property
    def recipients(self) -> tuple[str, ...]:
        """Those of all entries."""
        return tuple(address for entry in self.entries for address in entry.recipients)


def read_bulk(body: bytes, templates: Templates) -> BulkSubmission:
    """Return who sends what to whom. Raises Refused when all of it is refused."""
    request = members_of(json_of(body), "request")
    content = members_of(request.get("DefaultContent"), "defaultContent")
    where = "defaultContent.template"
    template = read_template(members_of(content.get("Template"), where), where, templates)
    check_tags(request.get("DefaultEmailTags"), "defaultEmailTags")
    check_members(request)
    check_replies(request)
    sender = sender_of(request)
    if request.get("BulkEmailEntries") is None:
        raise missing("bulkEmailEntries")
    entries = items_of(request["BulkEmailEntries"], "bulkEmailEntries")
    if not entries:
        raise constraint("bulkEmailEntries", "have length greater than or equal to 1")
    if len(entries) > MAX_ENTRIES:
        raise bad(f"Number of destinations exceeds {MAX_ENTRIES}.")
    for number, entry in enumerate(entries, 1):
        place = f"bulkEmailEntries.{number}.member"
        members_of(members_of(entry, place).get("Destination"), f"{place}.destination")
    return BulkSubmission(sender, tuple(_entry(entry, template) for entry in entries))


def _entry(entry: Mapping[str, Any], template: Templated) -> Entry:
    try:
        recipients = recipients_of(entry)
    except Refused as refused:
        return Entry(refusal=refused.answer.message)
    try:
        check_tags(entry.get("ReplacementTags"), "replacementTags")
        check_headers(entry.get("ReplacementHeaders"), "replacementHeaders")
        data = read_data(_replacement(entry), "replacementTemplateData")
    except Refused as refused:
        return Entry(recipients, refusal=refused.answer.message)
    return Entry(recipients, replace(template, data=merged(template.data, data)))


def _replacement(entry: Mapping[str, Any]) -> Any:
    content = entry.get("ReplacementEmailContent")
    if content is None:
        return None
    template = members_of(content, "replacementEmailContent").get("ReplacementTemplate")
    if template is None:
        return None
    return members_of(template, "replacementTemplate").get("ReplacementTemplateData")
