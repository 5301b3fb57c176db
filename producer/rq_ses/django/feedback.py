"""What SES says of mails, taken by a view: `path("hooks/ses", feedback_view(topics=["arn:…"]))`.

Needs the extra `feedback`. docs/how-to/feedback.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from rq_ses.django.options import read_options
from rq_ses.feedback.app import Feedback, read_length
from rq_ses.feedback.envelope import BODY_LIMIT
from rq_ses.feedback.receiver import Answer

_SMALL: Final = Answer(
    503,
    "unchecked",
    "DATA_UPLOAD_MAX_MEMORY_SIZE of Django's settings is less than a message of SNS's may have: "
    f"set it to {BODY_LIMIT}",
)


def feedback_view(
    feedback: Feedback | None = None, **arguments: Any
) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view for POSTs of SNS. Arguments are those of Feedback.from_env; it raises as that does.

    Without `redis_url` it is that of the backend's options, if they name one.
    """
    if feedback is None and not {"redis_url", "connection"} & arguments.keys():
        arguments["redis_url"] = read_options({}, None).redis_url
    found = feedback or Feedback.from_env(**arguments)

    def view(request: HttpRequest) -> HttpResponse:
        answer = _taken(found, request)
        return HttpResponse(
            f"{answer.said}\n", status=answer.status, content_type="text/plain; charset=utf-8"
        )

    return csrf_exempt(require_POST(view))  # type: ignore[no-any-return] # Django comes without types


def _taken(feedback: Feedback, request: HttpRequest) -> Answer:
    size = read_length(request.headers.get("Content-Length")) or 0
    if size > BODY_LIMIT:
        return feedback.refuse_long()
    try:
        body = request.body
    except RequestDataTooBig:
        # Django would say 400, and SNS would give up.
        return feedback.refuse(_SMALL)
    except OSError:
        return feedback.refuse_cut()
    if len(body) < size:
        return feedback.refuse_cut()
    return feedback.post(body, {name.lower(): value for name, value in request.headers.items()})
