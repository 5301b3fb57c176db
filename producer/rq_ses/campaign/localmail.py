"""The mails of a campaign that we render ourselves (engine="jinja2"): messages, as SendEmail takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from pydantic import ValidationError

from rq_ses.campaign.campaign import Campaign
from rq_ses.campaign.jinja import LocalTemplate, Rendered, RenderingFailure
from rq_ses.campaign.placeholders import replaced
from rq_ses.campaign.preparing import headers_together
from rq_ses.message.message import Message, explain

_SHARED: Final = (
    *("sender", "reply_to", "tags", "configuration_set", "attachments", "from_email_arn"),
    *("feedback_to", "feedback_arn", "tenant", "configuration_overrides"),
)
"""Terms that a campaign's mails have as they are."""


class Recipient(Protocol):
    """What is known of an Entry and of a QueuedEntry."""

    @property
    def to(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


class LocalMails:
    """Makes the mails of one campaign's entries. Nothing in it changes: threads may share it.

    Args:
        campaign: one whose template has the engine "jinja2".

    Raises:
        TemplateBroken: its template doesn't compile.
    """

    def __init__(self, campaign: Campaign) -> None:
        template = campaign.template
        self.template: Final = LocalTemplate(
            template.subject or "", template.text, template.html, escape=template.escapes
        )
        given = campaign.model_fields_set
        self._shared: dict[str, Any] = {name: getattr(campaign, name) for name in _SHARED if name in given}
        self._headers = campaign.headers
        self._link = campaign.unsubscribe
        self.links_differ: Final = bool(campaign.link_placeholders.names)
        """Whether the link to unsubscribe has an entry's data in it."""

    def mail(self, entry: Recipient) -> Message:
        """Return an entry's mail.

        Raises:
            RenderingFailure: its template can't be rendered with its data, or what comes of it is no mail.
        """
        return self.mail_of(entry, self.template.render(entry.data))

    def mail_of(self, entry: Recipient, rendered: Rendered) -> Message:
        """Return an entry's mail whose template is rendered already. Raises RenderingFailure."""
        fields = {**self._shared, "to": entry.to, **rendered._asdict()}
        if self._headers or entry.headers:
            fields["headers"] = headers_together(self._headers, entry.headers)
        if entry.tags:
            fields["tags"] = {**self._shared.get("tags", {}), **entry.tags}
        if self._link is not None:
            fields["unsubscribe"] = self._link_of(entry)
        try:
            return Message.model_validate(fields)
        except ValidationError as exc:
            # Outside of the chain: it holds the mail.
            raise RenderingFailure("mail", "; ".join(explain(exc))) from None

    def _link_of(self, entry: Recipient) -> str:
        link = self._link or ""
        if not self.links_differ:
            return link

        def value(name: str, _raw: bool) -> str:
            if name not in entry.data:
                raise RenderingFailure("unsubscribe", f"{name!r} is undefined")
            return quote(str(entry.data[name]), safe="")

        return replaced(link, value)
