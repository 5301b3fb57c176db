"""Campaigns: one template for many, each with data of their own, in SES's bulk requests.

from rq_ses.campaign import Campaign, Entry, Template

campaign = Campaign(
    name="spring-sale",
    sender="Shop <shop@example.com>",
    template=Template(subject="For you, {{name}}", html="<p>Dear {{name}}, …"),
)
outbox.send_bulk(campaign, (Entry(row.email, {"name": row.name}) for row in rows))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rq_ses.campaign.campaign import Campaign
    from rq_ses.campaign.entry import Entry
    from rq_ses.campaign.template import Template
    from rq_ses.mails.campaigns.campaigns import CampaignNotFound, Campaigns
    from rq_ses.mails.campaigns.status import CampaignStatus
    from rq_ses.receipt import CampaignReceipt

__all__ = [
    "Campaign",
    "CampaignNotFound",
    "CampaignReceipt",
    "CampaignStatus",
    "Campaigns",
    "Entry",
    "Template",
]

# Imported when first asked for, as the names of rq_ses are.
_LATER = {
    "Campaign": "rq_ses.campaign.campaign",
    "CampaignNotFound": "rq_ses.mails.campaigns.campaigns",
    "CampaignReceipt": "rq_ses.receipt",
    "CampaignStatus": "rq_ses.mails.campaigns.status",
    "Campaigns": "rq_ses.mails.campaigns.campaigns",
    "Entry": "rq_ses.campaign.entry",
    "Template": "rq_ses.campaign.template",
}


if not TYPE_CHECKING:  # to mypy any name would be there

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_LATER[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
