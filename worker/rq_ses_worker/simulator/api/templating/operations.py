"""The operations on templates: CreateEmailTemplate and its five neighbours.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_CreateEmailTemplate.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import parse_qs

from rq_ses.campaign.handlebars import TemplateError
from rq_ses_worker.simulator.api.answers import THROTTLED_OPERATION, Answer, Refused
from rq_ses_worker.simulator.api.checks import bad, check_text, json_of, members_of, missing, page_size_of
from rq_ses_worker.simulator.api.operation import TEMPLATE_OPERATIONS, Asked
from rq_ses_worker.simulator.api.templating.reading import read_data, read_stored
from rq_ses_worker.simulator.api.templating.store import StoredTemplate, Templates
from rq_ses_worker.simulator.templated import Templated

PAGE_SIZE: Final = 10
MAX_PAGE_SIZE: Final = 100

_NAME: Final = re.compile(r"(?s).+")
_PAUSE: Final = 1.0
_SELDOM: Final = TEMPLATE_OPERATIONS - {"GetEmailTemplate"}
"""Operations that may be executed "no more than once per second"."""


class TemplateOperations:
    """The operations over one account's templates; what is refused raises Refused.

    With `limited`, those that SES takes once a second are taken once a second.
    """

    def __init__(self, templates: Templates, *, limited: bool) -> None:
        self._templates = templates
        self._limited = limited
        self._done: dict[str, float] = {}
        self._operations: Mapping[str, Callable[[Asked, float], dict[str, Any]]] = {
            "CreateEmailTemplate": self._create,
            "GetEmailTemplate": self._get,
            "UpdateEmailTemplate": self._update,
            "DeleteEmailTemplate": self._delete,
            "ListEmailTemplates": self._list,
            "TestRenderEmailTemplate": self._test,
        }

    def answer(self, asked: Asked, at: float, monotonic: float) -> Answer:
        """Return the answer to one request that came `at` (epoch seconds; also `monotonic`)."""
        name = asked.operation
        if self._limited and name in _SELDOM:
            if monotonic - self._done.get(name, float("-inf")) < _PAUSE:
                raise Refused(THROTTLED_OPERATION)
            self._done[name] = monotonic
        return Answer(200, members=self._operations[name](asked, at))

    def _create(self, asked: Asked, at: float) -> dict[str, Any]:
        request = members_of(json_of(asked.body), "request")
        name = request.get("TemplateName")
        if name is None:
            raise missing("templateName")
        check_text(name, "templateName", _NAME)
        content = read_stored(request.get("TemplateContent"), "templateContent")
        self._templates.create(StoredTemplate(name, content, at))
        return {}

    def _get(self, asked: Asked, _: float) -> dict[str, Any]:
        stored = self._templates.get(asked.name)
        texts = {"Subject": stored.content.subject, "Text": stored.content.text, "Html": stored.content.html}
        return {
            "TemplateName": stored.name,
            "TemplateContent": {name: text for name, text in texts.items() if text is not None},
        }

    def _update(self, asked: Asked, _: float) -> dict[str, Any]:
        request = members_of(json_of(asked.body), "request")
        content = read_stored(request.get("TemplateContent"), "templateContent")
        self._templates.update(asked.name, content)
        return {}

    def _delete(self, asked: Asked, _: float) -> dict[str, Any]:
        self._templates.delete(asked.name)
        return {}

    def _list(self, asked: Asked, _: float) -> dict[str, Any]:
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        size = page_size_of(query.get("PageSize"), PAGE_SIZE, MAX_PAGE_SIZE)
        stored = self._templates.all()
        token = query.get("NextToken")
        start = 0
        if token is not None:
            names = [one.name for one in stored]
            if token not in names:
                raise bad("The NextToken is not valid")
            start = names.index(token) + 1
        chosen = stored[start : start + size]
        more = {"NextToken": chosen[-1].name} if start + size < len(stored) else {}
        listed = [{"TemplateName": one.name, "CreatedTimestamp": one.created_at} for one in chosen]
        return {"TemplatesMetadata": listed, **more}

    def _test(self, asked: Asked, at: float) -> dict[str, Any]:
        request = members_of(json_of(asked.body), "request")
        if request.get("TemplateData") is None:
            raise missing("templateData")
        stored = self._templates.get(asked.name)
        templated = Templated(stored.content, read_data(request["TemplateData"], "templateData"), stored.name)
        try:
            return {"RenderedTemplate": _mime(templated, at)}
        except TemplateError as exc:
            raise bad(str(exc)) from exc


def _mime(templated: Templated, at: float) -> str:
    content = templated.rendered()
    message = EmailMessage()
    message["Date"] = formatdate(at)
    message["Subject"] = " ".join(content.subject.split())
    if content.text is not None:
        message.set_content(content.text)
    if content.html is not None:
        if content.text is None:
            message.set_content(content.html, subtype="html")
        else:
            message.add_alternative(content.html, subtype="html")
    return message.as_bytes().decode("ascii", "replace")
