"""What was meant by a field that a message or an attachment doesn't have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rq_ses.text.spelling import close_matches

_LIMIT: Final = 60
_CLOSE: Final = 0.75

_MESSAGE: Final = {
    "sender": "from from_ from_email from_address from_addr from_addresses from_email_address from_name "
    "mail_from sender_email sender_address source author envelope_from envelope_sender",
    "to": "recipient recipients recipient_list recipient_email recipients_email receiver receivers rcpt "
    "rcpt_to mail_to email emails to_email to_emails to_address to_addresses to_addrs destination "
    "destinations address addresses",
    "cc": "cc_email cc_emails cc_address cc_addresses cc_recipients carbon_copy copy copies",
    "bcc": "bcc_email bcc_emails bcc_address bcc_addresses bcc_recipients blind_copy blind_carbon_copy",
    "reply_to": "replyto reply reply_email reply_to_email reply_to_address reply_to_addresses answer_to",
    "subject": "title topic headline",
    "text": "body content message plain plaintext plain_text plain_body text_body text_content text_plain "
    "body_text body_plain txt",
    "html": "html_body html_content html_message html_text text_html body_html markup",
    "headers": "header extra_headers custom_headers additional_headers x_headers in_reply_to references",
    "tags": "tag email_tags message_tags labels categories category metadata",
    "configuration_set": "configset config_set configuration configuration_set_name ses_configuration_set",
    "attachments": "attachment attach attached file files inline inlines images",
    "from_email_arn": "from_arn source_arn sender_arn identity_arn from_email_address_identity_arn "
    "from_identity_arn",
    "feedback_to": "feedback feedback_address bounce_to bounces_to bounce_address bounce_email return_path "
    "errors_to feedback_forwarding_email_address",
    "feedback_arn": "return_path_arn bounce_arn feedback_identity_arn feedback_to_arn "
    "feedback_forwarding_email_address_identity_arn",
    "list_management": "list_management_options contact_list contact_list_name topic_name mailing_list",
    "tenant": "tenant_name tenant_id",
    "configuration_overrides": "overrides tracking open_tracking click_tracking track_opens track_clicks",
    "unsubscribe": "list_unsubscribe list_unsubscribe_post unsubscribe_url unsubscribe_link one_click",
}
_SHARED: Final = (
    *("tags", "configuration_set", "from_email_arn", "feedback_to", "feedback_arn", "list_management"),
    *("tenant", "configuration_overrides"),
)
_RAW: Final = {
    "data": "raw mime content body message email eml raw_message raw_email raw_mime rfc822 bytes payload",
    "to": _MESSAGE["to"].replace(" email ", " "),
    **{name: _MESSAGE[name] for name in ("sender", *_SHARED)},
}
_IN_MIME: Final = frozenset({"reply_to", "subject", "text", "html", "headers", "attachments", "unsubscribe"})
_MIME: Final = frozenset({"data", "raw", "mime", "eml", "raw_message", "raw_email", "raw_mime", "rfc822"})
"""What a Message is given where a RawMessage was meant."""
_ATTACHMENT: Final = {
    "filename": "name file_name path filepath file_path title",
    "content": "data body bytes raw raw_content base64 payload file value",
    "content_type": "type mimetype mime_type mime media_type subtype file_type",
    "content_id": "cid id contentid",
    "disposition": "content_disposition inline",
    "transfer_encoding": "content_transfer_encoding encoding cte",
    "description": "content_description comment",
}
_LIST: Final = {
    "contact_list": "contact_list_name list list_name name",
    "topic": "topic_name",
}
_OVERRIDES: Final = {
    "open_tracking": "open_tracking_enabled opens open",
    "click_tracking": "click_tracking_enabled clicks click",
}
_NOT_BUILT: Final = {
    "SES takes it with a signature of SigV4A alone, which rq-ses doesn't make: leave it out, and let the "
    "workers of each region send from its own endpoint": "endpoint_id multi_region_endpoint global_endpoint "
    "multi_region_endpoint_id",
    "SES's templates are for campaigns (rq_ses.campaign): here give the text and the html": "template "
    "template_name template_arn template_data template_content template_id merge_data",
}
"""Members of SES's request that are refused, each reason with their names."""
_CAMPAIGN: Final = {
    "name": "campaign campaign_name title id",
    "template": "content body default_content",
    **{
        name: _MESSAGE[name]
        for name in ("sender", "reply_to", "headers", "attachments", "unsubscribe", *_SHARED)
        if name != "list_management"
    },
    "on_unknown": "on_doubt unknown in_doubt",
    "expires": "expire expiry expires_at expiration valid_until ttl deadline",
}
_TEMPLATE: Final = {
    "name": "template_name template template_id",
    **{name: _MESSAGE[name] for name in ("subject", "text", "html")},
    "engine": "language renderer",
    "escape": "autoescape html_escape escaping",
}
_ENTRY: Final = {
    "to": _MESSAGE["to"],
    "data": "template_data merge_data variables context values substitutions replacement_template_data",
    "headers": f"{_MESSAGE['headers']} replacement_headers",
    "tags": f"{_MESSAGE['tags']} replacement_tags",
    "key": "idempotency_key idempotency_token dedup_key dedup_id unique unique_key",
}
_TERMS: Final = {
    "key": "idempotency_key idempotency_token dedup_key dedup_id unique unique_key",
    "at": "send_at when eta schedule schedule_at scheduled_at scheduled_for deliver_at",
    "delay": "countdown wait send_in delay_seconds delivery_delay",
    "expires": "expire expiry expires_at expires_in expiration valid_until ttl deadline",
    "on_unknown": "on_doubt unknown in_doubt",
    "priority": "prio importance urgency x_priority",
}


def _by_other_name(fields: Mapping[str, str]) -> dict[str, str]:
    return {other: field for field, others in fields.items() for other in (field, *others.split())}


MODELS: Final = {
    model: (fields, _by_other_name(fields))
    for model, fields in (
        ("Message", _MESSAGE),
        ("RawMessage", _RAW),
        ("Attachment", _ATTACHMENT),
        ("ListManagement", _LIST),
        ("ConfigurationOverrides", _OVERRIDES),
        ("Campaign", _CAMPAIGN),
        ("Template", _TEMPLATE),
        ("Entry", _ENTRY),
    )
}
"""Names of models, each with its fields and their other names."""
_TERM_NAMES: Final = _by_other_name(_TERMS)
_REASONS: Final = {name: why for why, names in _NOT_BUILT.items() for name in names.split()}
_HEADER: Final = re.compile(r"[A-Z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)+")


def remedy(name: str, model: str) -> str:
    """Return what to do about the unknown field `name` of a model (one of MODELS)."""
    word = _plain(name)
    fields, names = MODELS[model]
    if meant := names.get(word):
        return f"did you mean {meant}?"
    whole = model in ("Message", "RawMessage")
    if whole and (found := _elsewhere(name, word, model)):
        return found
    if word and (close := close_matches(word, names, 1, _CLOSE)):
        return f"did you mean {names[close[0]]}?"
    if whole and word and (close := close_matches(word, _TERM_NAMES, 1, _CLOSE)):
        return _term(_TERM_NAMES[close[0]])
    return f"remove it, or give one of {', '.join(fields)}"


def _elsewhere(name: str, word: str, model: str) -> str:
    """Return where a field goes that is none of a message, "" if that isn't known."""
    if reason := _REASONS.get(word):
        return reason
    if word in _TERMS:
        return "give it to Outbox.send or to a Submission, beside the message"
    if term := _TERM_NAMES.get(word):
        return _term(term)
    if model == "RawMessage":
        field = MODELS["Message"][1].get(word)
        if field in ("cc", "bcc"):
            return "give everybody who gets the mail in to; its own header tells who is a cc"
        return "it stands in data already, as MIME: leave it out" if field in _IN_MIME else ""
    if word in _MIME:
        return "MIME is sent as it is by a RawMessage, rq_ses.RawMessage(data=…, to=…)"
    if len(name) <= _LIMIT and _HEADER.fullmatch(name):
        return f"did you mean a header, headers={{{name!r}: …}}?"
    return ""


def _term(name: str) -> str:
    return f"did you mean {name}, a term of sending (Outbox.send, Submission, a line of JSON)?"


def _plain(name: str) -> str:
    """Return `FromEmailAddress`, `Reply-To` and `reply to` in the form of our fields; long names empty."""
    if len(name) > _LIMIT:
        return ""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
