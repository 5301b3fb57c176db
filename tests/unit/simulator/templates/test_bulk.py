"""SendBulkEmail: fifty entries a request, each with a fate of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.ses.simulated import ask, call, page, reply, send, told

BULK = "/v2/email/outbound-bulk-emails"
INLINE = {"TemplateContent": {"Subject": "Hi {{name}}", "Html": "<b>{{shop.name}}</b>"}}


def _entry(to: str, **data: Any) -> dict[str, Any]:
    replacement = {"ReplacementTemplateData": json.dumps(data)}
    return {
        "Destination": {"ToAddresses": [to]},
        "ReplacementEmailContent": {"ReplacementTemplate": replacement},
    }


def _request(*entries: dict[str, Any], **members: Any) -> dict[str, Any]:
    template = INLINE | {"TemplateData": '{"name": "you", "shop": {"name": "Shop"}}'}
    return {
        "FromEmailAddress": "Shop <shop@example.com>",
        "DefaultContent": {"Template": template},
        "BulkEmailEntries": list(entries),
    } | members


def _results(service: Service, *to: str, **members: Any) -> list[dict[str, Any]]:
    entries = [_entry(one, name=one.partition("@")[0]) for one in to]
    status, answer = call(service, "POST", BULK, _request(*entries, **members))
    assert status == 200
    results: list[dict[str, Any]] = answer["BulkEmailEntryResults"]
    return results


def _statuses(service: Service, *to: str) -> list[str | None]:
    return [result.get("Status") for result in _results(service, *to)]


def test_each_entry_is_a_mail_of_its_own_filled_in_with_its_data(service: Service) -> None:
    results = _results(
        service,
        "anna@example.com",
        "ben@example.com",
        ReplyToAddresses=["help@example.com"],
        ConfigurationSetName="news",
    )
    mails = service.inbox.mails()
    assert results == [{"Status": "SUCCESS", "MessageId": mail.message_id} for mail in mails]
    assert len({mail.message_id for mail in mails}) == 2
    assert [(mail.recipients, mail.parsed.subject) for mail in mails] == [
        (("anna@example.com",), "Hi anna"),
        (("ben@example.com",), "Hi ben"),
    ]
    # Members of objects are merged, so the shop's name is there.
    assert mails[0].parsed.html == "<b>Shop</b>"
    assert mails[0].parsed.sender == "Shop <shop@example.com>"
    assert mails[1].parsed.to == ("ben@example.com",)
    assert mails[1].parsed.reply_to == ("help@example.com",)
    assert mails[1].parsed.configuration_set == "news"
    [request] = service.inbox.requests()
    assert (request.status, request.message_id) == (200, None)
    assert request.recipients == ("anna@example.com", "ben@example.com")
    assert [entry.message_id for entry in request.entries] == [mail.message_id for mail in mails]


def test_tags_and_headers_of_an_entry_go_over_the_defaults_by_name(service: Service) -> None:
    entry = _entry("anna@example.com") | {
        "ReplacementTags": [{"Name": "rq-ses-job", "Value": "1"}, {"Name": "kind", "Value": "own"}],
        "ReplacementHeaders": [{"Name": "x-a", "Value": "own"}, {"Name": "X-C", "Value": "d"}],
    }
    template = INLINE | {"Headers": [{"Name": "X-A", "Value": "b"}, {"Name": "X-B", "Value": "c"}]}
    tags = [{"Name": "kind", "Value": "all"}, {"Name": "list", "Value": "news"}]
    request = _request(entry, DefaultContent={"Template": template}, DefaultEmailTags=tags)
    assert call(service, "POST", BULK, request)[0] == 200
    [mail] = service.inbox.mails()
    assert mail.parsed.tags == {"rq-ses-job": "1", "kind": "own", "list": "news"}
    assert mail.parsed.headers == {"X-B": "c", "x-a": "own", "X-C": "d"}
    assert mail.rendering_failure == "Attribute 'name' is not present in the rendering data."
    assert mail.request["Destination"] == {"ToAddresses": ["anna@example.com"]}
    assert "BulkEmailEntries" not in mail.as_dict()["request"]


def test_an_entry_needs_no_replacement(service: Service) -> None:
    bare = {"Destination": {"ToAddresses": ["anna@example.com"]}}
    for entry in (bare, bare | {"ReplacementEmailContent": {}}):
        assert call(service, "POST", BULK, _request(entry))[0] == 200
    assert [mail.parsed.subject for mail in service.inbox.mails()] == ["Hi you", "Hi you"]


def test_a_stored_template_serves_all_entries(service: Service) -> None:
    service.add_template("hi", "Hi {{name}}", "{{#each items}}{{this}} {{/each}}")
    content = {"Template": {"TemplateName": "hi"}}
    entries = [_entry("a@example.com", name="A", items=[1, 2]), _entry("b@example.com", name="B")]
    assert call(service, "POST", BULK, _request(*entries, DefaultContent=content))[0] == 200
    assert [mail.parsed.text for mail in service.inbox.mails()] == ["1 2 ", ""]
    assert [mail.parsed.template for mail in service.inbox.mails()] == ["hi", "hi"]


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"DefaultContent": None}, "BadRequestException", "'defaultContent'"),
        ({"DefaultContent": {}}, "BadRequestException", "'defaultContent.template'"),
        ({"DefaultContent": {"Template": {"TemplateName": "no"}}}, "NotFoundException", "Template no does"),
        (
            {"DefaultContent": {"Template": {"TemplateContent": {"Text": "{{#if a}}{{/if}}"}}}},
            "BadRequestException",
            "Template contains unsupported operations.",
        ),
        ({"BulkEmailEntries": None}, "BadRequestException", "'bulkEmailEntries'"),
        ({"BulkEmailEntries": {}}, "BadRequestException", "'bulkEmailEntries'"),
        ({"BulkEmailEntries": []}, "BadRequestException", "greater than or equal to 1"),
        ({"BulkEmailEntries": [_entry("a@example.com")] * 51}, "BadRequestException", "exceeds 50"),
        ({"BulkEmailEntries": [1]}, "BadRequestException", "'bulkEmailEntries.1.member'"),
        ({"BulkEmailEntries": [{}]}, "BadRequestException", "'bulkEmailEntries.1.member.destination'"),
        ({"FromEmailAddress": "shop"}, "BadRequestException", "Missing final '@domain'"),
        ({"DefaultEmailTags": [{"Name": "a b", "Value": "c"}]}, "BadRequestException", "defaultEmailTags.1"),
        ({"ReplyToAddresses": ["x"]}, "BadRequestException", "Missing final '@domain'"),
        ({"EndpointId": "x"}, "BadRequestException", "multi-region"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused_whole(
    service: Service, members: dict[str, Any], code: str, words: str
) -> None:
    status, told_code, message = call(service, "POST", BULK, _request(_entry("a@example.com"), **members))
    assert (status, told_code) == (404 if code == "NotFoundException" else 400, code)
    assert words in message
    assert service.inbox.mails() == []
    assert page(service, "/")
    assert page(service, "/_simulator/view/requests/1")


def test_an_entry_that_makes_no_sense_is_refused_alone(service: Service) -> None:
    wrong = [
        {"Destination": {}},
        {"Destination": {"ToAddresses": ["x"]}},
        {"Destination": {"ToAddresses": ["a@example.com"] * 51}},
        _entry("a@example.com") | {"ReplacementTags": [{"Name": "a b", "Value": "c"}]},
        _entry("a@example.com") | {"ReplacementHeaders": [{"Name": "a", "Value": "b"}] * 16},
        _entry("a@example.com") | {"ReplacementEmailContent": []},
        {
            "Destination": {"ToAddresses": ["a@example.com"]},
            "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": "[]"}},
        },
    ]
    _, answer = call(service, "POST", BULK, _request(*wrong, _entry("good@example.com")))
    results = answer["BulkEmailEntryResults"]
    assert [result["Status"] for result in results] == ["INVALID_PARAMETER"] * len(wrong) + ["SUCCESS"]
    assert results[1]["Error"] == "Missing final '@domain'"
    assert results[-2]["Error"] == "Template rendering data is invalid"
    assert [mail.recipients for mail in service.inbox.mails()] == [("good@example.com",)]
    assert page(service, "/")


def test_the_signature_of_a_bulk_request_is_checked(service: Service) -> None:
    request = _request(_entry("a@example.com"))
    assert call(service, "POST", BULK, request, secret="wrong")[1] == "InvalidSignatureException"
    assert service.inbox.mails() == []
    assert service.inbox.requests()[0].recipients == ("a@example.com",)


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("429", "ACCOUNT_THROTTLED"),
        ("throttle", "ACCOUNT_THROTTLED"),
        ("quota", "ACCOUNT_DAILY_QUOTA_EXCEEDED"),
        ("reject", "MESSAGE_REJECTED"),
        ("paused", "ACCOUNT_SENDING_PAUSED"),
        ("suspended", "ACCOUNT_SUSPENDED"),
        ("400", "INVALID_PARAMETER"),
        ("404", "TEMPLATE_NOT_FOUND"),
        ("403", "FAILED"),
        ("503", "TRANSIENT_FAILURE"),
        ("transient_failure", "TRANSIENT_FAILURE"),
        ("account_daily_quota_exceeded", "ACCOUNT_DAILY_QUOTA_EXCEEDED"),
        ("configuration_set_sending_paused", "CONFIGURATION_SET_SENDING_PAUSED"),
        ("failed", "FAILED"),
        ("oddstatus", "DEFERRED_BY_POLICY"),
        ("nostatus", None),
    ],
)
def test_a_recipients_step_is_the_fate_of_its_entry_alone(
    service: Service, step: str, status: str | None
) -> None:
    to = ("anna@example.com", f"{step}.ben@faults.example", "cleo@example.com")
    results = _results(service, *to)
    assert [result.get("Status") for result in results] == ["SUCCESS", status, "SUCCESS"]
    assert results[1]["Error"]
    assert "MessageId" not in results[1]
    assert [mail.recipients[0] for mail in service.inbox.mails()] == [to[0], to[2]]
    assert [entry.fault for entry in service.inbox.requests()[0].entries] == [None, step, None]


def test_scripts_go_on_entry_by_entry(service: Service) -> None:
    service.faults.script("anna@example.com", ["503x2"])
    service.faults.script("ben@example.com", ["account_throttled", "failed"])
    to = ("anna@example.com", "ben@example.com", "cleo@example.com")
    assert [_statuses(service, *to) for _ in range(3)] == [
        ["TRANSIENT_FAILURE", "ACCOUNT_THROTTLED", "SUCCESS"],
        ["TRANSIENT_FAILURE", "FAILED", "SUCCESS"],
        ["SUCCESS", "SUCCESS", "SUCCESS"],
    ]


def test_results_may_lack_an_id_or_be_too_few(service: Service) -> None:
    results = _results(service, "noid.a@faults.example", "noresult.b@faults.example", "c@example.com")
    mails = service.inbox.mails()
    assert len(mails) == 3
    assert results == [{"Status": "SUCCESS"}, {"Status": "SUCCESS", "MessageId": mails[2].message_id}]
    entries = service.inbox.requests()[0].entries
    assert [entry.status for entry in entries] == ["SUCCESS", None, "SUCCESS"]
    assert "accepted, answered by no status" in page(service, "/")


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ("all503", 503, "ServiceUnavailable"),
        ("all429", 429, "TooManyRequestsException"),
        ("html502", 502, None),
    ],
)
def test_some_steps_are_the_fate_of_the_whole_request(
    service: Service, step: str, status: int, code: str | None
) -> None:
    service.faults.script("ben@example.com", [step])
    service.faults.script("cleo@example.com", ["failed"])
    entries = [_entry(to, name="x") for to in ("anna@example.com", "ben@example.com", "cleo@example.com")]
    answer = reply(service, json.dumps(_request(*entries)).encode(), path=BULK)
    assert (answer.status, answer.headers.get("x-amzn-ErrorType")) == (status, code)
    assert service.inbox.mails() == []
    assert service.inbox.requests()[0].fault == step
    # Only that step was played.
    assert _statuses(service, "anna@example.com", "ben@example.com", "cleo@example.com") == [
        "SUCCESS", "SUCCESS", "FAILED",
    ]  # fmt: skip


def test_a_connection_may_be_lost_before_and_after_all_is_accepted(service: Service) -> None:
    for step, hang_up, mails in (("reset", "reset", 0), ("drop", "close", 2)):
        service.clear()
        service.faults.script("ben@example.com", [step])
        entries = [_entry(to, name="x") for to in ("anna@example.com", "ben@example.com")]
        answer = reply(service, json.dumps(_request(*entries)).encode(), path=BULK)
        assert (answer.hang_up, len(service.inbox.mails())) == (hang_up, mails)
    assert page(service, "/").count("accepted, not answered") == 2


def test_a_bulk_request_is_limited_by_the_rate_entry_by_entry() -> None:
    now = 0.0
    service = Service(Options(error_shape="header", rate=14), monotonic=lambda: now)
    to = [f"a{number}@example.com" for number in range(20)]
    assert _statuses(service, *to) == ["SUCCESS"] * 14 + ["ACCOUNT_THROTTLED"] * 6
    assert _statuses(service, *to[:3]) == ["ACCOUNT_THROTTLED"] * 3
    now = 1.0
    assert _statuses(service, *to) == ["SUCCESS"] * 14 + ["ACCOUNT_THROTTLED"] * 6
    assert len(service.inbox.mails()) == 28


def test_a_throttled_entry_keeps_its_step_and_the_quota_counts_recipients() -> None:
    service = Service(Options(error_shape="header", quota=2))
    service.faults.script("c@example.com", ["noid"])
    to = ("a@example.com", "b@example.com", "c@example.com")
    assert _statuses(service, *to) == ["SUCCESS", "SUCCESS", "ACCOUNT_DAILY_QUOTA_EXCEEDED"]
    assert service.faults.scripts()[0].consumed == 0


def test_in_the_sandbox_strangers_are_refused_entry_by_entry() -> None:
    service = Service(Options(error_shape="header", sandbox=True, verified=["example.com"]))
    results = _results(service, "anna@example.com", "ben@example.org", "success@simulator.amazonses.com")
    assert [result["Status"] for result in results] == ["SUCCESS", "MESSAGE_REJECTED", "SUCCESS"]
    assert "ben@example.org" in results[1]["Error"]
    request = _request(_entry("anna@example.com"), FromEmailAddress="shop@example.org")
    assert call(service, "POST", BULK, request)[:2] == (400, "MessageRejected")


def test_entries_stand_in_the_inbox_and_have_pages_of_their_own(service: Service) -> None:
    service.faults.script("ben@example.com", ["failed"])
    _results(service, "anna@example.com", "ben@example.com", "bounce@simulator.amazonses.com")
    inbox = page(service, "/")
    assert inbox.count('<a href="/_simulator/view/requests/1/entries/') == 3
    assert "Hi anna" in inbox
    assert "bounce</span>" in inbox
    assert (
        page(service, "/?show=refused").count("/entries/")
        == page(service, "/?q=ben@example").count("/entries/")
        == 1
    )
    assert page(service, "/?show=accepted").count("/entries/") == 2
    anna = page(service, "/_simulator/view/requests/1/entries/0")
    assert "1 of 3 of" in anna
    assert service.inbox.mails()[0].message_id in anna
    assert '<iframe sandbox="" src="/_simulator/requests/1/entries/0/html"' in anna
    assert ask(service, "/_simulator/requests/1/entries/0/html").body == b"<b>Shop</b>"
    assert "FAILED" in page(service, "/_simulator/view/requests/1/entries/1")
    assert "(FAILED)" in page(service, "/_simulator/view/requests/1")
    page(service, "/_simulator/view/requests/1/entries/3", 404)
    page(service, "/_simulator/view/requests/1/entries/x", 404)


def test_entries_are_told_as_json(service: Service) -> None:
    _results(service, "anna@example.com", "503.ben@faults.example")
    anna, ben = told(service, "/_simulator/requests/1")["entries"]
    assert anna["message_id"] == service.inbox.mails()[0].message_id
    assert (ben["status"], ben["fault"]) == ("TRANSIENT_FAILURE", "503")
    assert ben["recipients"] == ["503.ben@faults.example"]
    one = told(service, "/_simulator/requests/1/entries/0")
    assert (one["entry"], one["mail"]["subject"]) == (0, "Hi anna")
    assert one["mail"]["template_data"] == {"name": "anna", "shop": {"name": "Shop"}}
    assert told(service, "/_simulator/requests/1/entries/1")["mail"]["to"] == ["503.ben@faults.example"]
    assert ask(service, "/_simulator/requests/1/entries/2").status == 404
    [mail] = told(service, "/_simulator/mails?q=anna")["mails"]
    assert mail["request"]["Destination"] == {"ToAddresses": ["anna@example.com"]}


def test_the_body_that_entries_share_is_counted_once(service: Service) -> None:
    _results(service, *(f"a{number}@example.com" for number in range(50)))
    mails = service.inbox.mails()
    assert sum(mail.size for mail in mails) <= len(mails[0].body)


def test_entries_count_like_requests_where_so_many_are_kept() -> None:
    service = Service(Options(error_shape="header", keep=100))
    for _ in range(3):
        _results(service, *(f"a{number}@example.com" for number in range(40)))
    assert [request.number for request in service.inbox.requests()] == [2, 3]
    assert len(service.inbox.mails()) == 100


def test_the_newest_entries_stand_on_one_page_with_their_request(service: Service) -> None:
    for _ in range(3):
        _results(service, *(f"a{number}@example.com" for number in range(40)))
    first = page(service, "/")
    assert first.count("/entries/") == 120
    assert "Older" not in first


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ("transient_failure", 503, "ServiceUnavailable"),
        ("account_throttled", 429, "TooManyRequestsException"),
        ("message_rejected", 400, "MessageRejected"),
        ("all500", 500, "InternalFailure"),
    ],
)
def test_a_mail_alone_is_answered_alike(service: Service, step: str, status: int, code: str) -> None:
    service.faults.script("anna@example.com", [step, "noid", "oddstatus"])
    assert [send(service, "anna@example.com") for _ in range(3)] == [status, 200, 200]
    assert service.inbox.requests()[0].code == code
    assert len(service.inbox.mails()) == 2
