"""Templates and bulk requests as AWS's own client sends and reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from rq_ses_worker.simulator.server import SimulatorServer
from support.ses.signed_requests import KEY, SECRET

TEXTS = {"Subject": "Hi {{name}}", "Text": "{{#each items}}{{this}}, {{/each}}"}


@pytest.fixture
def aws(ses: SimulatorServer) -> Iterator[Any]:
    """A client of botocore's that asks the simulator."""
    client = botocore.session.Session().create_client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=ses.url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(retries={"max_attempts": 1}),
    )
    yield client
    client.close()


def test_awss_client_keeps_templates_and_sends_to_many(ses: SimulatorServer, aws: Any) -> None:
    aws.create_email_template(TemplateName="news of/may", TemplateContent=TEXTS)
    with pytest.raises(aws.exceptions.AlreadyExistsException):
        aws.create_email_template(TemplateName="news of/may", TemplateContent=TEXTS)
    aws.update_email_template(TemplateName="news of/may", TemplateContent=TEXTS | {"Html": "<b>{{name}}"})
    assert aws.get_email_template(TemplateName="news of/may")["TemplateContent"]["Html"] == "<b>{{name}}"
    [listed] = aws.list_email_templates(PageSize=5)["TemplatesMetadata"]
    assert listed["TemplateName"] == "news of/may"
    with pytest.raises(aws.exceptions.BadRequestException, match="Attribute 'name' is not present"):
        aws.test_render_email_template(TemplateName="news of/may", TemplateData="{}")
    ses.faults.script("ben@example.com", ["503"])
    answer = aws.send_bulk_email(
        FromEmailAddress="Shop <shop@example.com>",
        DefaultContent={"Template": {"TemplateName": "news of/may", "TemplateData": '{"items": ["a", "b"]}'}},
        BulkEmailEntries=[
            {
                "Destination": {"ToAddresses": [f"{name}@example.com"]},
                "ReplacementEmailContent": {
                    "ReplacementTemplate": {"ReplacementTemplateData": json.dumps({"name": name})}
                },
            }
            for name in ("anna", "ben", "cleo")
        ],
    )
    results = answer["BulkEmailEntryResults"]
    assert [result["Status"] for result in results] == ["SUCCESS", "TRANSIENT_FAILURE", "SUCCESS"]
    assert [(mail.message_id, mail.parsed.subject, mail.parsed.text) for mail in ses.mails] == [
        (results[0]["MessageId"], "Hi anna", "a, b, "),
        (results[2]["MessageId"], "Hi cleo", "a, b, "),
    ]
    aws.delete_email_template(TemplateName="news of/may")
    with pytest.raises(aws.exceptions.NotFoundException):
        aws.get_email_template(TemplateName="news of/may")


def test_a_test_stores_a_template(ses: SimulatorServer, aws: Any) -> None:
    ses.add_template("welcome", "Hi {{name}}", "Dear {{name}}")
    content = {"Template": {"TemplateName": "welcome", "TemplateData": '{"name": "Anna"}'}}
    aws.send_email(
        FromEmailAddress="shop@example.com", Destination={"ToAddresses": ["a@example.com"]}, Content=content
    )
    assert ses.mails[0].parsed.text == "Dear Anna"
    with pytest.raises(ValueError, match="is never closed"):
        ses.add_template("broken", text="{{#if name}}")
    ses.clear()
    with pytest.raises(aws.exceptions.NotFoundException):
        aws.get_email_template(TemplateName="welcome")
