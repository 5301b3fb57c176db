"""Why a mail failed and what to do about it, in a sentence or two: SES's errors and our own.

SES's texts come from its API's model and from answers seen in the wild; its documentation of them is
https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html

Every hint is constant text without markup, so that it may stand in a page that doesn't escape.
"""

from __future__ import annotations

import re
from typing import Final

_LOOKED_AT: Final = 500
"""Characters of a message that are looked at; what SES says comes first, what it echoes follows."""

_CLOCK: Final = (
    "The clock of the worker's host is wrong by minutes, and signatures are good for 5 to 15 of them: switch "
    "on NTP there. `rq-ses doctor` shows by how much it is off."
)
_KEY: Final = (
    "AWS does not know this access key, or the key or its user was deactivated; temporary keys need their "
    "session token, too. Check the key in the IAM console, and rotate it if it may have leaked; "
    "`rq-ses doctor` shows which key is used."
)
_MISMATCH: Final = (
    "The secret does not belong to the access key, or the host's clock is off by more than 5 minutes: copy "
    "key and secret again, as a pair, and run `rq-ses doctor`, which tells the two apart."
)
_EXPIRED: Final = (
    "The temporary credentials have expired: let the worker use a source that renews them, such as a role, "
    "or set new ones and start it again; then resend. `rq-ses doctor` shows the source and the expiry."
)
_DENIED: Final = (
    "The credentials may not send from this identity. `rq-ses doctor --policy` prints the policy to attach; "
    "raw content needs ses:SendRawEmail besides ses:SendEmail. A permissions boundary, a service control "
    "policy or a VPC endpoint's policy can deny it, too."
)
_PAUSED: Final = (
    "AWS has paused this account's sending, mostly for bounces or complaints: read its mail to the account's "
    "owner and the SES console, mend the cause, then resend. Trying again while it is paused is no use."
)
_SET_PAUSED: Final = (
    "Sending is paused for the mail's configuration set alone: let it go on in the SES console, where its "
    "reputation shows why it was paused, or name another in the mail; then resend."
)
_SUSPENDED: Final = (
    "AWS has restricted this account's sending for good: open a case with AWS Support. "
    "No resend from this account will work until then."
)
_UNVERIFIED: Final = (
    "In the sandbox the sender and every recipient must be verified in this region; outside of it, the "
    "sender. Verify the identity the message names, or request production access; "
    "`rq-ses doctor --from ADDRESS` shows what SES knows."
)
_REGION: Final = (
    "The request was signed for another region than the endpoint's: set AWS_REGION to the region of the "
    "endpoint, or RQ_SES_BASE_URL to an endpoint of the region."
)
_RATE: Final = (
    "SES took mails more slowly than they came: keep all senders together, other applications on this "
    "account included, below the account's rate, or ask AWS for a higher one. `rq-ses doctor` shows the rate."
)
_QUOTA: Final = (
    "The account's quota of recipients in 24 hours is used up; it frees bit by bit as the mails of the day "
    "before grow older. Resend later, or ask AWS for more; `rq-ses doctor` shows quota and use."
)
_NOT_SES: Final = (
    "This answer did not come from SES: check RQ_SES_BASE_URL, and any proxy, gateway or firewall on the way."
)
_MAYBE: Final = (
    "SES may have sent this mail all the same: resend it only if a second copy does no harm. "
    "RQ_SES_ON_UNKNOWN decides what becomes of such mails."
)
_AWAY: Final = "If it lasts, look at the AWS Health Dashboard for SES in this region; then resend."
_MALFORMED: Final = (
    "SES found the request malformed: what the message says is wrong in the mail itself, and it will be "
    "refused again until it is changed."
)
_TOO_LARGE: Final = (
    "The mail is too large: SES takes 40 MB, attachments counted in base64, a third more than their files. "
    "Link to large files in place of attaching them."
)
_SERVER: Final = f"SES or a server on the way to it failed. {_AWAY}"
_CONFIGURATION: Final = "Run `rq-ses doctor` on the worker's host: it shows where the connection fails."

_SERIALIZER: Final = (
    "A `rq worker` without `--serializer json` took the mail and could not read it, so it was not sent: stop "
    "that worker, run `rq-ses worker` (or give it the option), then resend."
)
_IMPORT: Final = (
    "The worker that took the mail could not import rq_ses_worker, so it was not sent: "
    "install rq-ses with its extra `worker` there, or keep that worker off the mails' queue; then resend."
)
_SETTINGS: Final = (
    "The worker that took the mail has no usable settings, so it was not sent: give a `rq worker` the same "
    "environment as `rq-ses worker` (the words above name what is wrong), then resend."
)

_BY_TEXT: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (r"signature (?:has )?expired|signature not yet current|request has expired", _CLOCK),
        (r"difference between the request time and the", _CLOCK),
        (r"scoped to (?:a valid|the correct) region", _REGION),
        (r"security token included in the request is expired", _EXPIRED),
        (r"security token included in the request is invalid", _KEY),
        (r"signature we calculated does not match", _MISMATCH),
        (r"(?:email )?address (?:is )?not verified|identities failed the check", _UNVERIFIED),
        (r"sending (?:is )?paused\b.{0,120}\bconfiguration[ -]?set\b", _SET_PAUSED),
        (r"sending (?:is )?paused|ability to send (?:e-?mail )?is currently paused", _PAUSED),
        (r"permanently restricted|account is suspended", _SUSPENDED),
        (r"is not authori[sz]ed to perform", _DENIED),
        (r"daily (?:message|sending) quota|24[ -]?hour (?:sending )?quota", _QUOTA),
        (r"maximum sending rate|\brate exceeded", _RATE),
        (
            r"configuration set\b.{0,120}\bdoes not exist",
            "SES has no configuration set of this name in this region: create it there, or correct "
            "configuration_set in the mail.",
        ),
        (
            r"template\b.{0,120}\bdoes not exist",
            "SES has no template of this name in this region: create it there, or correct the template's "
            "name in the mail.",
        ),
        (r"message length is more than|message is too large", _TOO_LARGE),
        (
            r"invalid e-?mail address|missing final '@domain'|local address contains|illegal address"
            r"|domain (?:contains|starts|ends)",
            "SES can't read one of the addresses: its local part must be ASCII and its domain in punycode. "
            "Correct it where it comes from, then send the mail anew.",
        ),
        (
            r"recipient count exceeds|too many recipients",
            "A mail may have 50 recipients over To, Cc and Bcc: send several mails.",
        ),
        (
            r"member\.(?:name|value)'.{0,80}constraint|content\.simple\.headers",
            "A header isn't fit for SES: at most 15, printable ASCII, a name of up to 126 characters and a "
            "value of up to 995.",
        ),
        (
            r"virus|malware|prohibited content",
            "SES found something in the mail that it does not carry: look at its attachments and links.",
        ),
    )
)

_BY_CODE: Final[dict[str, str]] = {
    # SES v2
    "AccountSuspendedException": _SUSPENDED,
    "SendingPausedException": _PAUSED,
    "CONFIGURATION_SET_SENDING_PAUSED": _SET_PAUSED,
    "MailFromDomainNotVerifiedException": (
        "The sender's custom MAIL FROM domain is not verified, and its set-up says to reject such mails: "
        "publish its MX record as the SES console shows it; `rq-ses doctor --from ADDRESS` looks for it."
    ),
    "MessageRejected": (
        "SES looked at the mail and refused it; its words above say why. An unverified identity, a paused "
        "account and content that looks malicious are the usual causes: run `rq-ses doctor --from ADDRESS`."
    ),
    "NotFoundException": (
        "SES does not know something that the mail names (an identity, a configuration set, a template, a "
        "contact list), or knows it in another region: create it there, or correct the name."
    ),
    "BadRequestException": _MALFORMED,
    "SerializationException": _MALFORMED,
    "ValidationException": _MALFORMED,
    "ValidationError": _MALFORMED,
    "InvalidParameterValue": _MALFORMED,
    "RequestEntityTooLarge": _TOO_LARGE,
    "RequestEntityTooLargeException": _TOO_LARGE,
    "LimitExceededException": (
        "The account has reached a limit of SES's: look it up under Service Quotas in the AWS console, and "
        "ask for more there if it has to be."
    ),
    "AlreadyExistsException": _NOT_SES,
    "InternalServiceErrorException": _SERVER,
    "InternalFailure": _SERVER,
    "InternalServerError": _SERVER,
    "ServiceUnavailable": _SERVER,
    "ServiceUnavailableException": _SERVER,
    "ConcurrentModificationException": _SERVER,
    # Too fast, or too much in a day
    "TooManyRequestsException": _RATE,
    "TooManyRequests": _RATE,
    "Throttling": _RATE,
    "ThrottlingException": _RATE,
    "ThrottledException": _RATE,
    "RequestThrottled": _RATE,
    "RequestThrottledException": _RATE,
    "RequestLimitExceeded": _RATE,
    "BandwidthLimitExceeded": _RATE,
    "SlowDown": _RATE,
    # Keys, signatures, permissions
    "InvalidSignatureException": _MISMATCH,
    "SignatureDoesNotMatch": _MISMATCH,
    "IncompleteSignature": (
        "The signature arrived incomplete: a proxy or gateway on the way changed the request's headers. Let "
        "it pass Authorization, Host and X-Amz headers as they are."
    ),
    "IncompleteSignatureException": (
        "The signature arrived incomplete: a proxy or gateway on the way changed the request's headers. Let "
        "it pass Authorization, Host and X-Amz headers as they are."
    ),
    "MissingAuthenticationToken": (
        "The request arrived unsigned: a proxy or gateway on the way dropped its Authorization header."
    ),
    "MissingAuthenticationTokenException": (
        "The request arrived unsigned: a proxy or gateway on the way dropped its Authorization header."
    ),
    "UnrecognizedClientException": _KEY,
    "InvalidClientTokenId": _KEY,
    "InvalidAccessKeyId": _KEY,
    "AuthFailure": _KEY,
    "ExpiredTokenException": _EXPIRED,
    "ExpiredToken": _EXPIRED,
    "AccessDeniedException": _DENIED,
    "AccessDenied": _DENIED,
    "UnauthorizedOperation": _DENIED,
    "NotAuthorized": _DENIED,
    "OptInRequired": (
        "The AWS account is not signed up for SES in this region: open the SES console in it, or choose "
        "another AWS_REGION."
    ),
    "RequestExpired": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    # Not from SES
    "UnknownOperationException": _NOT_SES,
    "UnknownOperation": _NOT_SES,
    "InvalidAction": _NOT_SES,
    "RequestAbortedException": f"The connection ended while SES was at it. {_MAYBE}",
    "RequestTimeout": f"The request came too slowly for SES. {_CONFIGURATION}",
    "RequestTimeoutException": f"The request came too slowly for SES. {_CONFIGURATION}",
    # Ours: no answer came (rq_ses_worker.ses.failure)
    "CredentialsUnavailable": (
        "The worker found no AWS credentials that are valid, so nothing was sent: give it a key, a profile "
        "or a role. `rq-ses doctor` shows where it looked."
    ),
    "CertificateRefused": (
        "The endpoint's TLS certificate can't be trusted: its CA is unknown here (a proxy that looks inside "
        "TLS? then name its CA in RQ_SES_CA_BUNDLE), it has expired, or its name does not fit "
        "RQ_SES_BASE_URL. `rq-ses doctor` shows which."
    ),
    "ClientClosed": "The worker was stopping when the mail's turn came: resend it.",
    "ProxyError": "The proxy let no request through: check RQ_SES_PROXY, its password and its rules.",
    "NameResolutionFailed": (
        "The endpoint's name can't be resolved on the worker's host: check its DNS, AWS_REGION and "
        "RQ_SES_BASE_URL."
    ),
    "ConnectionRefused": (
        "Nothing listens at the endpoint, or a firewall refuses: check RQ_SES_BASE_URL and the way out to "
        f"port 443. {_CONFIGURATION}"
    ),
    "ConnectionFailed": f"The endpoint can't be reached from the worker's host. {_CONFIGURATION}",
    "ConnectTimeout": (
        "No connection came about: a firewall or a subnet without a way out swallows it, or RQ_SES_TIMEOUT "
        f"is too short. {_CONFIGURATION}"
    ),
    "TlsHandshakeFailed": (
        "The endpoint or something on the way broke the TLS handshake off: a firewall, or a server without "
        f"TLS 1.2. {_CONFIGURATION}"
    ),
    "WriteTimeout": (
        "The mail could not be handed over in time, so it was not sent: lower RQ_SES_MIN_UPLOAD_RATE, or "
        "RQ_SES_CONCURRENCY where many large mails share the line, then resend."
    ),
    "WriteFailed": (
        "The connection broke off before the whole mail had left, so it was not sent. If large mails alone "
        "end so, something on the way refuses their size: look at proxies and gateways, then resend."
    ),
    "ReadTimeout": (
        f"No answer came in time. {_MAYBE} If it happens often, raise RQ_SES_TIMEOUT, or for large mails "
        "lower RQ_SES_MIN_UPLOAD_RATE."
    ),
    "ConnectionClosed": f"The connection broke off. {_MAYBE}",
    "InvalidAnswer": f"{_NOT_SES} {_MAYBE}",
    # Ours: an entry of a campaign, or its job (ses.bulk and campaign of the worker)
    "UnknownStatus": f"SES has said something of this entry that this version doesn't know. {_MAYBE}",
    "UnfitResults": f"What answered doesn't do what SES documents: check RQ_SES_BASE_URL. {_MAYBE}",
    "CutResults": f"The answer broke off on its way, so nobody knows who was sent the mail. {_MAYBE}",
    "TermsMissing": (
        "What the campaign's mails have in common is gone from Redis: send the campaign again under its name "
        "and with the same terms, which writes them anew, then resend."
    ),
    "RenderingFailure": (
        "The campaign's template can't be filled with this entry's data: edit the entry, or discard it and "
        "send it in a campaign whose template can."
    ),
    # Ours: the mail or its job (lifecycle.task, lifecycle.retry and engine.attempt of the worker)
    "JobRefused": (
        "Only mails enqueued with rq_ses are sent: somebody put another job, or one with callbacks, on the "
        "mails' queue. Enqueue with rq_ses.Outbox, and give other jobs a queue of their own."
    ),
    "InvalidMessage": (
        "The job's payload is not a valid message, so it was not made by this version of rq_ses.Outbox: if "
        "the app's is newer, upgrade the workers and resend; else correct what is named, and send it anew."
    ),
    "Expired": (
        "It waited longer than its `expires` allowed. If mails wait that long, add workers or "
        "look for what holds the queue up with `rq-ses doctor`."
    ),
    "Suppressed": (
        "It was not sent: the addresses named have bounced or complained, or were put on the list by hand. "
        "Take off one that is well again (`rq-ses suppression remove ADDRESS`), then resend; "
        "RQ_SES_SUPPRESSED=drop lets mails go to their other recipients."
    ),
    "WorkerLost": (
        f"Its worker was killed, or away for longer than RQ_SES_LEASE, while it was sending. {_MAYBE}"
    ),
    "OutcomeUnknown": (
        "It was requeued after SES may have accepted it as often as RQ_SES_MAX_DOUBTFUL allows: it was not "
        "sent. Ask the recipient; `rq-ses resend --include-unknown` sends it once more."
    ),
    "InternalError": f"A defect of rq-ses: please report it with the worker's log. {_MAYBE}",
    # A stock `rq worker`, before it came to the mail
    "DeserializationError": _SERIALIZER,
    "UnpicklingError": _SERIALIZER,
    "SettingsError": _SETTINGS,
    "ImportError": _IMPORT,
    "ModuleNotFoundError": _IMPORT,
    "AbandonedJobError": f"The stock `rq worker` that had the mail was killed. {_MAYBE}",
    # Ours: what an audit failed (rq_ses_worker.audit.placement)
    "PayloadLost": "The job's data is gone from Redis, so it can't be resent: send the mail anew.",
    "ScheduleLost": "The mail is whole, but nothing says when it was to go: resend it if it still should.",
    "StatusLost": f"Part of the job is gone from Redis. {_MAYBE}",
}


_OF_ENTRIES: Final = {
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": "LimitExceededException",
    "ACCOUNT_SENDING_PAUSED": "SendingPausedException",
    "ACCOUNT_SUSPENDED": "AccountSuspendedException",
    "ACCOUNT_THROTTLED": "TooManyRequestsException",
    "CONFIGURATION_SET_NOT_FOUND": "NotFoundException",
    "INVALID_PARAMETER": "BadRequestException",
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": "MailFromDomainNotVerifiedException",
    "MESSAGE_REJECTED": "MessageRejected",
    "TEMPLATE_NOT_FOUND": "NotFoundException",
}
"""What SES says of an entry of a bulk request, and its name of the same in the answer to a mail."""


def hint_for(code: str | None, message: str, status: int | None) -> str | None:
    """Return why a mail failed and what to do, None if that is not known.

    Args:
        code: SES's name of the error, or ours; None if the answer had none.
        message: the text that came with it: it tells apart what shares a name.
        status: HTTP status of the answer, None without one.
    """
    if status is not None and status < 400:
        return f"{_NOT_SES} {_MAYBE}" if status < 300 else _NOT_SES
    # Our own texts are told by their names alone.
    if code is None or status is not None:
        text = message[:_LOOKED_AT]
        for pattern, hint in _BY_TEXT:
            if pattern.search(text):
                return hint
    if code == "ValueError" and status is None and message.startswith("Invalid attribute name"):
        return _IMPORT  # so RQ says that the job's function can't be imported
    if code in _OF_ENTRIES:
        return hint_for(_OF_ENTRIES[code], message, 400)
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    return None if status is None else _by_status(status)


def _by_status(status: int) -> str | None:
    if status == 429:
        return _RATE
    if status == 413:
        return _TOO_LARGE
    if status == 407:
        return _BY_CODE["ProxyError"]
    if status >= 500:
        return _SERVER
    if status in (403, 404, 405):
        return _NOT_SES
    return None
