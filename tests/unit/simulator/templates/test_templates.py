"""The templates of the simulated account: kept, tried out, sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses_worker.simulator.api.answers import Refused
from rq_ses_worker.simulator.api.templating.store import StoredTemplate, Templates
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.templated import TemplateContent
from support.ses.simulated import PATH, ask, call, page, told

TEMPLATES = "/v2/email/templates"
TEXTS = {"Subject": "Hi {{name}}", "Text": "Dear {{name}}", "Html": "<b>{{#if vip}}VIP {{/if}}{{name}}</b>"}
INLINE = {"TemplateContent": {"Subject": "Hi {{name}}", "Text": "Dear {{name}}"}}


def _send(service: Service, template: dict[str, Any], **data: Any) -> tuple[Any, ...]:
    request = {
        "FromEmailAddress": "Shop <shop@example.com>",
        "Destination": {"ToAddresses": ["anna@example.com"]},
        "Content": {"Template": template | ({"TemplateData": json.dumps(data)} if data else {})},
    }
    return call(service, "POST", PATH, request)


def test_a_template_is_created_told_changed_and_deleted(service: Service) -> None:
    created = {"TemplateName": "wel come", "TemplateContent": TEXTS}
    assert call(service, "POST", TEMPLATES, created) == (200, {})
    assert call(service, "POST", TEMPLATES, created) == (
        400, "AlreadyExistsException", "Template wel come already exists",
    )  # fmt: skip
    path = f"{TEMPLATES}/wel%20come"
    assert call(service, "GET", path) == (200, created)
    assert call(service, "PUT", path, {"TemplateContent": {"Text": "new"}}) == (200, {})
    assert call(service, "GET", path)[1]["TemplateContent"] == {"Subject": "", "Text": "new"}
    assert call(service, "DELETE", path) == (200, {})
    gone = (404, "NotFoundException", "Template wel come does not exist")
    assert [call(service, method, path) for method in ("GET", "DELETE")] == [gone, gone]
    assert call(service, "PUT", path, {"TemplateContent": {"Text": "new"}}) == gone
    assert service.inbox.stats()["mails"] == 0


def test_requests_about_templates_are_verified(service: Service) -> None:
    created = {"TemplateName": "a", "TemplateContent": TEXTS}
    for method, path in (("POST", TEMPLATES), ("GET", TEMPLATES), ("GET", f"{TEMPLATES}/a")):
        assert call(service, method, path, created, secret="wrong")[1] == "InvalidSignatureException"
    assert service.templates.all() == []
    assert call(service, "POST", f"{TEMPLATES}/a")[1] == "UnknownOperationException"
    assert call(service, "GET", f"{TEMPLATES}/a/b")[1] == "UnknownOperationException"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "Member must be an object"),
        ({"TemplateContent": TEXTS}, "Value at 'templateName'"),
        ({"TemplateName": "", "TemplateContent": TEXTS}, "Value at 'templateName'"),
        ({"TemplateName": 1, "TemplateContent": TEXTS}, "Value at 'templateName'"),
        ({"TemplateName": "a"}, "Value at 'templateContent'"),
        ({"TemplateName": "a", "TemplateContent": {"Subject": "b"}}, "Value at 'templateContent.text'"),
        ({"TemplateName": "a", "TemplateContent": {"Text": 1}}, "Value at 'templateContent.text'"),
        ({"TemplateName": "a", "TemplateContent": {"Text": "x" * 512_001}}, "more than 512000 bytes"),
        (
            {"TemplateName": "a", "TemplateContent": {"Text": "{{#if a}}"}},
            "line 1: {{#if a}} is never closed",
        ),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(service: Service, members: Any, words: str) -> None:
    status, code, message = call(service, "POST", TEMPLATES, members)
    assert (status, code) == (400, "BadRequestException")
    assert words in message


def test_an_account_has_room_for_so_many_templates() -> None:
    templates = Templates(limit=1)
    templates.create(StoredTemplate("a", TemplateContent(), 0.0))
    with pytest.raises(Refused) as raised:
        templates.create(StoredTemplate("b", TemplateContent(), 0.0))
    assert raised.value.answer.code == "LimitExceededException"


def test_templates_are_listed_in_pages(service: Service) -> None:
    for number in range(12):
        service.add_template(f"t{number}", text="x")
    _, first = call(service, "GET", TEMPLATES)
    assert [one["TemplateName"] for one in first["TemplatesMetadata"]] == [f"t{n}" for n in range(10)]
    _, rest = call(service, "GET", TEMPLATES, query=f"?PageSize=100&NextToken={first['NextToken']}")
    assert [one["TemplateName"] for one in rest["TemplatesMetadata"]] == ["t10", "t11"]
    assert "NextToken" not in rest
    for query in ("?PageSize=0", "?PageSize=101", "?PageSize=x", "?NextToken=zz"):
        assert call(service, "GET", TEMPLATES, query=query)[1] == "BadRequestException"


def test_a_template_is_tried_out_as_mime(service: Service) -> None:
    service.add_template("a", "Hi {{name}}", "Dear {{name}}", "<b>{{name}}</b>")
    path = f"{TEMPLATES}/a/render"
    status, answer = call(service, "POST", path, {"TemplateData": '{"name": "A\\r\\nBcc: x"}'})
    assert (status, "\nBcc: x\n" in answer["RenderedTemplate"].partition("\n\n")[0]) == (200, False)
    assert "Subject: Hi A Bcc: x\n" in answer["RenderedTemplate"]
    assert "multipart/alternative" in answer["RenderedTemplate"]
    words = "Attribute 'name' is not present in the rendering data."
    assert call(service, "POST", path, {"TemplateData": "{}"}) == (400, "BadRequestException", words)
    for data in ("[]", "{", '"a"', "NaN", "[" * 1000):
        assert call(service, "POST", path, {"TemplateData": data})[2] == "Template rendering data is invalid"
    assert "262144" in call(service, "POST", path, {"TemplateData": " " * 262_145})[2]
    assert call(service, "POST", path, {})[1] == "BadRequestException"
    assert call(service, "POST", f"{TEMPLATES}/b/render", {"TemplateData": "{}"})[0] == 404


def test_an_account_with_a_rate_takes_one_change_a_second() -> None:
    now = 0.0
    service = Service(Options(error_shape="header", rate=14), monotonic=lambda: now)
    assert call(service, "GET", TEMPLATES)[0] == 200
    assert call(service, "GET", TEMPLATES) == (429, "TooManyRequestsException", "Rate exceeded")
    assert call(service, "POST", TEMPLATES, {"TemplateName": "a", "TemplateContent": TEXTS})[0] == 200
    assert [call(service, "GET", f"{TEMPLATES}/a")[0] for _ in range(3)] == [200, 200, 200]
    now = 1.0
    assert call(service, "GET", TEMPLATES)[0] == 200


@pytest.mark.parametrize(
    "place", [{"TemplateName": "hi"}, {"TemplateArn": "arn:aws:ses:us-east-1:123456789012:template/hi"}]
)
def test_a_mail_is_made_of_a_stored_template(service: Service, place: dict[str, str]) -> None:
    service.add_template("hi", **{name.lower(): text for name, text in TEXTS.items()})
    headers = [{"Name": "X-A", "Value": "b"}]
    assert _send(service, place | {"Headers": headers}, name="Änna <3", vip=True)[0] == 200
    # A later change is none of a mail that was sent.
    service.add_template("hi", text="changed")
    [mail] = service.inbox.mails()
    assert (mail.parsed.subject, mail.parsed.text) == ("Hi Änna <3", "Dear Änna <3")
    assert mail.parsed.html == "<b>VIP Änna <3</b>"
    assert mail.parsed.headers == {"X-A": "b"}
    assert mail.parsed.template_data == {"name": "Änna <3", "vip": True}
    assert mail.rendering_failure is None


def test_a_template_may_come_along_and_holds_values_alone_then(service: Service) -> None:
    assert _send(service, INLINE, name="Anna")[0] == 200
    [mail] = service.inbox.mails()
    assert (mail.parsed.subject, mail.parsed.text, mail.parsed.template) == ("Hi Anna", "Dear Anna", None)
    refusal = _send(service, {"TemplateContent": TEXTS}, name="Anna")
    assert refusal == (400, "BadRequestException", "Template contains unsupported operations.")


def test_a_mail_that_cannot_be_filled_in_is_accepted_and_marked(service: Service) -> None:
    assert _send(service, INLINE, Name="Anna")[0] == 200
    [mail] = service.inbox.mails()
    words = "Attribute 'name' is not present in the rendering data."
    assert mail.rendering_failure == words
    assert mail.parsed.text == "Dear {{name}}"
    assert told(service, f"/_simulator/mails/{mail.message_id}")["rendering_failure"] == words
    assert told(service, "/_simulator/mails")["mails"][0]["rendering_failure"] == words
    assert "rendering failure" in page(service, "/")
    assert "Rendering failure: <bdi>Attribute &#39;name&#39;" in page(service, "/_simulator/view/requests/1")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({}, "Template must hold exactly one of TemplateName, TemplateArn and TemplateContent."),
        (INLINE | {"TemplateName": "a"}, "Template must hold exactly one of"),
        ({"TemplateName": "a"}, "Template a does not exist"),
        ({"TemplateName": 1}, "Value at 'content.template.templateName'"),
        ({"TemplateArn": "arn:aws:ses:x"}, "Value at 'content.template.templateArn'"),
        ({"TemplateArn": 1}, "Value at 'content.template.templateArn'"),
        (INLINE | {"TemplateData": {}}, "Value at 'content.template.templateData'"),
        (INLINE | {"TemplateData": "[]"}, "Template rendering data is invalid"),
        (INLINE | {"Headers": [{"Name": "a b", "Value": "c"}]}, "content.template.headers.1.member.name"),
        (INLINE | {"Attachments": [{"FileName": "a"}]}, "content.template.attachments.1.member.rawContent"),
        ({"TemplateContent": {"Text": "x" * 1_048_577}}, "more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_a_mail_of_a_template_is_checked(service: Service, template: dict[str, Any], words: str) -> None:
    status, _, message = _send(service, template)
    assert status in (400, 404)
    assert words in message
    assert service.inbox.mails() == []


def test_the_page_shows_template_and_data_harmlessly(service: Service) -> None:
    service.add_template("<i>", text="Dear {{name}}")
    assert _send(service, {"TemplateName": "<i>"}, name="<script>")[0] == 200
    shown = page(service, "/_simulator/view/requests/1")
    assert "<dt>Template</dt><dd><bdi>&lt;i&gt;</bdi></dd>" in shown
    assert "&#34;name&#34;: &#34;&lt;script&gt;&#34;" in shown
    assert "Dear &lt;script&gt;" in shown
    assert "<script>" not in shown


def test_stored_templates_have_a_page(service: Service) -> None:
    assert "No template is stored" in page(service, "/_simulator/view/templates")
    seen = ask(service, "/_simulator/view/templates").headers["ETag"]
    service.add_template("<i>", "Hi {{name}}", html="<script>")
    assert ask(service, "/_simulator/view/templates", if_none_match=seen).status == 200
    shown = page(service, "/_simulator/view/templates")
    assert "&lt;i&gt;" in shown
    assert "Hi {{name}}" in shown
    assert '<pre dir="auto">&lt;script&gt;</pre>' in shown
    assert "<script>" not in shown


def test_templates_are_told_added_and_removed_as_json(service: Service) -> None:
    body = {"name": "a", "subject": "s", "html": "<b>"}
    for _ in range(2):
        [one] = told(service, "/_simulator/templates", "POST", json.dumps(body).encode())["templates"]
    assert one["created_at"] > 0
    assert {name: one[name] for name in ("name", "subject", "text", "html")} == body | {"text": None}
    for wrong in (
        b"{",
        b"[]",
        b'{"name": ""}',
        b'{"name": "b", "body": "c"}',
        b'{"name": "b"}',
        b'{"name": "b", "text": "{{"}',
    ):
        assert ask(service, "/_simulator/templates", "POST", wrong).status == 400
    assert ask(service, "/_simulator/templates?name=b", "DELETE").status == 404
    assert told(service, "/_simulator/templates?name=a", "DELETE") == {"templates": []}
    service.add_template("c", text="d")
    assert told(service, "/_simulator/templates", "DELETE") == {"templates": []}
    service.add_template("c", text="d")
    service.clear()
    assert told(service, "/_simulator/templates") == {"templates": []}
