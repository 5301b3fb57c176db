"""SendBulkEmail: what is asked for some entries, and what SES answered to each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses.campaign import Template
from rq_ses_worker.account.scope import account_cause, scope
from rq_ses_worker.engine.bulk.fates import telling
from rq_ses_worker.ses.bulk.answer import STATUSES, classified, outcomes
from rq_ses_worker.ses.bulk.request import BulkRequests
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.echo import EchoMask
from rq_ses_worker.ses.outcome import Outcome, RateLimited, Sent, Terminal, Transient
from support.bulk.desk import addresses, campaign, queued

TOLD = Sent(200, request_id="r-1")
SENT = {"Status": "SUCCESS", "MessageId": "0100-1"}


def answered(*results: Any, entries: int | None = None) -> list[Outcome]:
    body = json.dumps({"BulkEmailEntryResults": list(results)}).encode()
    return outcomes(TOLD, body, len(results) if entries is None else entries)


@pytest.mark.parametrize(
    ("status", "kind", "about"),
    [
        ("ACCOUNT_THROTTLED", RateLimited, "neutral"),
        ("ACCOUNT_DAILY_QUOTA_EXCEEDED", RateLimited, "account"),
        ("TRANSIENT_FAILURE", Transient, "failing"),
        ("ACCOUNT_SUSPENDED", Terminal, "account"),
        ("ACCOUNT_SENDING_PAUSED", Terminal, "account"),
        ("CONFIGURATION_SET_SENDING_PAUSED", Terminal, "healthy"),
        ("MESSAGE_REJECTED", Terminal, "healthy"),
        ("MAIL_FROM_DOMAIN_NOT_VERIFIED", Terminal, "healthy"),
        ("CONFIGURATION_SET_NOT_FOUND", Terminal, "healthy"),
        ("TEMPLATE_NOT_FOUND", Terminal, "healthy"),
        ("INVALID_SENDING_POOL_NAME", Terminal, "healthy"),
        ("INVALID_PARAMETER", Terminal, "healthy"),
        ("FAILED", Terminal, "healthy"),
        ("SUCCESS", Sent, "healthy"),
    ],
)
def test_each_status_has_its_outcome_whatever_else_stands_beside_it(
    status: str, kind: type[Outcome], about: str
) -> None:
    [outcome] = answered({"Status": status, "Error": "So.", "MessageId": "0100-1"})
    assert type(outcome) is kind
    assert not outcome.ambiguous
    assert scope(outcome) == about
    assert status in STATUSES
    if kind is not Sent:
        assert (outcome.code, outcome.message, outcome.request_id) == (status, "So.", "r-1")


@pytest.mark.parametrize(
    "result",
    [
        {"Status": "success", "MessageId": "m"},
        {"Status": "DELIVERED", "MessageId": "m"},
        {"Status": None, "MessageId": "m"},
        {"Status": ["SUCCESS"], "MessageId": "m"},
        {"MessageId": "m"},
        {},
        "SUCCESS",
        None,
        7,
    ],
)
def test_what_is_no_status_of_ses_is_never_sent_and_in_doubt(result: Any) -> None:
    sent, outcome = answered(SENT, result)
    assert type(sent) is Sent
    assert type(outcome) is Terminal
    assert (outcome.code, outcome.ambiguous) == ("UnknownStatus", True)
    assert scope(outcome) == "healthy"


@pytest.mark.parametrize("message_id", [None, "", 7, " "])
def test_an_entry_without_a_message_id_is_sent_all_the_same(message_id: Any) -> None:
    assert answered({"Status": "SUCCESS", "MessageId": message_id}) == [Sent(200, request_id="r-1")]


@pytest.mark.parametrize(
    "body",
    [
        b'{"BulkEmailEntryResults":[{"Status":"SUCCESS"}]}',
        b'{"BulkEmailEntryResults":[{"Status":"SUCCESS"},{"Status":"SUCCESS"},{"Status":"SUCCESS"}]}',
        b'{"BulkEmailEntryResults":[]}',
        b'{"BulkEmailEntryResults":{}}',
        b'{"MessageId":"m"}',
        b"[]",
    ],
)
def test_other_results_than_entries_put_all_of_them_in_doubt(body: bytes) -> None:
    found = outcomes(TOLD, body, 2)
    assert [type(outcome) for outcome in found] == [Terminal, Terminal]
    assert all(outcome.ambiguous and outcome.code == "UnfitResults" for outcome in found)
    assert account_cause(found[0]) is None


@pytest.mark.parametrize("body", [b"", b'{"BulkEmailEntryResults":[{"Sta', b"\xff"])
def test_an_answer_that_broke_off_is_as_good_as_none(body: bytes) -> None:
    found = outcomes(TOLD, body, 2)
    assert all(type(outcome) is Transient and outcome.ambiguous for outcome in found)


def test_a_request_that_is_refused_as_a_whole_is_judged_as_a_mails() -> None:
    headers = {"x-amzn-ErrorType": "TooManyRequestsException", "x-amzn-RequestId": "r-2"}
    assert type(classified(429, headers, b'{"message":"slow down"}')) is RateLimited
    told = classified(200, {"x-amzn-RequestId": "r-2"}, b'{"BulkEmailEntryResults":[]}')
    assert told == Sent(200, request_id="r-2")
    assert type(classified(200, {"Content-Type": "text/html"}, b"<html>hello</html>")) is Terminal


def test_the_outcome_that_stands_for_all_is_what_says_most_of_the_account() -> None:
    results = [SENT, {"Status": "TRANSIENT_FAILURE"}, {"Status": "MESSAGE_REJECTED"}]
    assert type(telling(answered(*results))) is Sent
    assert type(telling(answered(*results, {"Status": "ACCOUNT_THROTTLED"}))) is RateLimited
    paused = telling(answered(*results, {"Status": "ACCOUNT_THROTTLED"}, {"Status": "ACCOUNT_SUSPENDED"}))
    assert paused.code == "ACCOUNT_SUSPENDED"


def test_secrets_that_ses_echoes_are_masked_in_each_entrys_outcome() -> None:
    secret = Credentials("AKIDOFTHETESTS", "secret/of+the/tests/0123456789abcdefghij")
    echo = {"Status": "FAILED", "Error": f"no: {secret.secret_access_key}"}
    mask = EchoMask()
    sent, failed = mask.outcomes(answered(SENT, echo), secret)
    assert sent == answered(SENT)[0]
    assert secret.secret_access_key not in str(failed.message)
    [odd] = mask.outcomes(answered({"Status": "SUCCESS", "MessageId": secret.secret_access_key}), secret)
    assert secret.secret_access_key not in str(odd)


def request(entries: int = 2, **fields: Any) -> dict[str, Any]:
    body = BulkRequests(campaign(**fields)).body([queued(to) for to in addresses(entries)])
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_request_says_once_what_all_entries_share_and_nothing_empty() -> None:
    entry = queued("to-0@example.com")
    assert request(1) == {
        "FromEmailAddress": "shop@example.com",
        "DefaultContent": {
            "Template": {
                "TemplateContent": {
                    "Subject": "For {{name}}",
                    "Text": "Dear {{name}}",
                    "Html": "<p>Dear {{name}}</p>",
                },
                "TemplateData": "{}",
            }
        },
        "BulkEmailEntries": [
            {
                "Destination": {"ToAddresses": ["to-0@example.com"]},
                "ReplacementTags": [{"Name": "rq-ses-job", "Value": entry.id}],
                "ReplacementEmailContent": {
                    "ReplacementTemplate": {"ReplacementTemplateData": '{"name":"to-0"}'}
                },
            }
        ],
    }


def test_a_request_has_all_terms_of_its_campaign() -> None:
    found = request(
        sender="Jörg <shop@example.com>",
        template=Template(name="stored"),
        reply_to=["answers@example.com"],
        headers={"X-Shop": "1"},
        tags={"kind": "news"},
        configuration_set="news",
        tenant="shop",
        feedback_to="bounces@example.com",
        configuration_overrides={"open_tracking": False},
        attachments=[{"filename": "a.txt", "content": b"a"}],
        unsubscribe="https://shop.example/bye/{{name}}",
    )
    assert found["FromEmailAddress"] == "=?UTF-8?B?SsO2cmc=?= <shop@example.com>"
    assert found["ReplyToAddresses"] == ["answers@example.com"]
    assert found["ConfigurationSetName"] == "news"
    assert found["TenantName"] == "shop"
    assert found["FeedbackForwardingEmailAddress"] == "bounces@example.com"
    assert found["ConfigurationOverrides"] == {"Tracking": {"OpenTrackingEnabled": "DISABLED"}}
    template = found["DefaultContent"]["Template"]
    assert template["TemplateName"] == "stored"
    assert "TemplateContent" not in template
    assert template["Headers"] == [{"Name": "X-Shop", "Value": "1"}]
    assert template["Attachments"][0]["FileName"] == "a.txt"
    first, _ = found["BulkEmailEntries"]
    assert {"Name": "kind", "Value": "news"} in first["ReplacementTags"]
    headers = {pair["Name"]: pair["Value"] for pair in first["ReplacementHeaders"]}
    assert headers["List-Unsubscribe"] == "<https://shop.example/bye/to-0>"


def test_values_are_escaped_where_the_html_has_them() -> None:
    requests = BulkRequests(campaign(template=Template(subject="Hi", html="<p>{{name}}</p>")))
    told = json.loads(requests.body([queued("a@example.com", {"name": "<b>"})]))
    [entry] = told["BulkEmailEntries"]
    data = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
    assert json.loads(data) == {"name": "&lt;b&gt;"}


def test_an_entry_without_data_says_nothing_of_its_content() -> None:
    requests = BulkRequests(campaign(template=Template(name="stored")))
    entry = queued("a@example.com")._replace(data={})
    assert "ReplacementEmailContent" not in json.loads(requests.body([entry]))["BulkEmailEntries"][0]
