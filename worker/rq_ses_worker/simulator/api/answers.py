"""How SES v2 words and shapes its answers.

The error's name comes in the header `x-amzn-ErrorType`, or as `__type` in the body; its text as `message`
or as `Message`. Clients have to understand both, so the simulator gives both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Answer:
    """What SES says to one request: an error with a name, or the members of a success."""

    status: int
    code: str | None = None
    message: str | None = None
    members: Mapping[str, Any] | None = None
    html: str | None = None


class Refused(Exception):
    """Raised when SES would refuse the request; `answer` is what it says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.message)


def error(status: int, code: str, message: str | None) -> Answer:
    """Return an error of SES's; a text of "" is left out of the answer."""
    return Answer(status, code, message)


def bad_request(message: str | None) -> Answer:
    """Return SES's 400 for a request that is wrong; SES leaves the text null in some cases."""
    return Answer(400, "BadRequestException", message)


def not_verified(identities: list[str], region: str) -> Answer:
    return Answer(
        400,
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region "
        f"{region.upper()}: {', '.join(identities)}",
    )


RATE_EXCEEDED: Final = error(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
QUOTA_EXCEEDED: Final = error(429, "TooManyRequestsException", "Daily message quota exceeded")
THROTTLED_OPERATION: Final = error(429, "TooManyRequestsException", "Rate exceeded")
THROTTLED: Final = error(400, "ThrottlingException", "Rate exceeded")
SENDING_PAUSED: Final = error(
    400,
    "SendingPausedException",
    "The message can't be sent because the account's ability to send email is currently paused.",
)
ACCOUNT_SUSPENDED: Final = error(
    400,
    "AccountSuspendedException",
    "The message can't be sent because the account's ability to send email has been permanently restricted.",
)
NOT_JSON: Final = error(400, "SerializationException", "")
TOO_LARGE: Final = error(413, "RequestEntityTooLarge", "The request body is larger than this endpoint reads.")

_BY_STATUS: Final = {
    400: bad_request("The input you provided is invalid."),
    403: error(403, "AccessDeniedException", "You do not have sufficient access to perform this action."),
    404: error(404, "NotFoundException", "The resource you attempted to access doesn't exist."),
    408: error(408, "RequestTimeoutException", "The request took too long to arrive."),
    429: RATE_EXCEEDED,
    500: error(
        500,
        "InternalFailure",
        "The request processing has failed because of an unknown error, exception or failure.",
    ),
    503: error(
        503,
        "ServiceUnavailable",
        "The request has failed due to a temporary failure of the server.",
    ),
}

BY_STATUS_NAME: Final = {
    "message_rejected": error(400, "MessageRejected", "The message contains a virus."),
    "mail_from_domain_not_verified": error(
        400, "MailFromDomainNotVerifiedException", "The sender's email address or domain was not verified."
    ),
    "configuration_set_not_found": error(404, "NotFoundException", "The configuration set does not exist."),
    "template_not_found": error(404, "NotFoundException", "The template does not exist."),
    "account_suspended": ACCOUNT_SUSPENDED,
    "account_throttled": RATE_EXCEEDED,
    "account_daily_quota_exceeded": QUOTA_EXCEEDED,
    "invalid_sending_pool_name": bad_request("The sending pool does not exist."),
    "account_sending_paused": SENDING_PAUSED,
    "configuration_set_sending_paused": error(
        400, "SendingPausedException", "Sending paused for this configuration set."
    ),
    "invalid_parameter": _BY_STATUS[400],
    "transient_failure": _BY_STATUS[503],
    "failed": bad_request("Amazon SES was unable to process your request."),
}
"""What a mail alone is answered with in place of an entry's status."""

_PAGE: Final = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_PHRASES: Final = {
    403: "Forbidden",
    404: "Not Found",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def for_status(status: int) -> Answer:
    """Return the error SES most likely means by this status, 400 to 599."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    name = "InternalFailure" if status >= 500 else "BadRequestException"
    return error(status, name, f"The request was answered with status {status}.")


def page(status: int) -> Answer:
    """Return the HTML a load balancer answers with when SES is out of its reach."""
    title = f"{status} {_PHRASES.get(status, 'Error')}"
    return Answer(status, html=_PAGE.format(title=title))


def render(
    answer: Answer, shape: Literal["header", "body"], request_id: str, now: float
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of `answer`; `now` is the server's clock in epoch seconds."""
    headers = {"Date": formatdate(now, usegmt=True)}
    if answer.html is not None:
        headers["Content-Type"] = "text/html"
        return headers, answer.html.encode()
    headers["Content-Type"] = "application/json"
    headers["x-amzn-RequestId"] = request_id
    body: dict[str, Any]
    if answer.code is None:
        body = dict(answer.members or {})
    elif shape == "header":
        headers["x-amzn-ErrorType"] = answer.code
        body = {} if answer.message == "" else {"message": answer.message}
    else:
        body = {"__type": answer.code}
        if answer.message != "":
            body["Message"] = answer.message
    return headers, json.dumps(body).encode()
