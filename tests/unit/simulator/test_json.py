"""The records and scripts as JSON, without a socket."""

from __future__ import annotations

import json

import pytest

from rq_ses import Attachment
from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service
from support.mails.mail import mail
from support.ses.simulated import PATH, ask, send, submit, told


def test_one_mail_is_told_whole(service: Service) -> None:
    bill = Attachment(filename="bill.pdf", content=b"%PDF")
    send(service, subject="Hi", text="Hello", html="<p>Hello", tags={"a": "b"}, attachments=[bill])
    message_id = service.inbox.mails()[0].message_id
    found = told(service, f"/_simulator/mails/{message_id}")
    assert found["from"] == "Shop <shop@example.com>"
    assert found["to"] == ["anna@example.com"]
    assert (found["subject"], found["text"], found["html"]) == ("Hi", "Hello", "<p>Hello")
    assert found["tags"] == {"a": "b"}
    assert found["attachments"] == [
        {
            "number": 1,
            "filename": "bill.pdf",
            "content_type": "application/pdf",
            "content_id": None,
            "size": 4,
        }
    ]
    assert ask(service, f"/_simulator/mails/{message_id}/html").body == b"<p>Hello"
    assert ask(service, f"/_simulator/mails/{message_id}/attachments/1").body == b"%PDF"
    for gone in (
        "attachments/0",
        "attachments/2",
        "attachments/x",
        "attachments/" + "9" * 500,
        "text",
        "html/1",
    ):
        assert ask(service, f"/_simulator/mails/{message_id}/{gone}").status == 404


def test_a_mail_without_html_has_no_html(service: Service) -> None:
    send(service)
    assert ask(service, f"/_simulator/mails/{service.inbox.mails()[0].message_id}/html").status == 404
    assert ask(service, "/_simulator/mails/absent").status == 404


def test_mails_are_filtered(service: Service) -> None:
    send(service, "anna@example.com", subject="Welcome", text="eins")
    send(service, "ben@example.com", subject="Your order", text="zwei")
    at = service.inbox.mails()[1].at

    def found(query: str) -> list[int]:
        return [one["number"] for one in told(service, f"/_simulator/mails?{query}")["mails"]]

    assert found("") == [1, 2]
    assert found("to=ANNA@example.com") == [1]
    assert found("to=ben") == [2]
    assert found("subject=order") == [2]
    assert found("subject=order&to=anna") == []
    assert found("q=zwei+order") == [2]
    assert found(f"since={at}") == [2]
    assert found("after=1") == [2]
    assert found("since=nan") == []
    assert ask(service, "/_simulator/mails?since=yesterday").status == 400
    assert ask(service, "/_simulator/mails?after=x").status == 400


def test_one_request_is_told_with_the_verdict_on_it(service: Service) -> None:
    assert submit(service, send_email_body(mail()), secret="wrong", query="?a=b") == 403
    found = told(service, "/_simulator/requests/1")
    assert found["status"] == 403
    assert found["message"].startswith("The request signature we calculated does not match")
    assert found["target"] == PATH + "?a=b"
    assert dict(found["headers"])["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDSIMULATOR/")
    assert json.loads(found["body"])["Destination"] == {"ToAddresses": ["anna@example.com"]}
    assert found["signature"]["good"] is False
    assert found["signature"]["canonical_request"].startswith(f"POST\n{PATH}\na=b\nhost:localhost\n")
    assert found["signature"]["signature"] == dict(found["headers"])["Authorization"][-64:]
    assert found["mail"]["subject"] == "Hi"
    assert ask(service, "/_simulator/requests/1/body").body == send_email_body(mail())
    for absent in ("2", "0", "-1", "x", "9" * 30, "1/html", "1/other"):
        assert ask(service, f"/_simulator/requests/{absent}").status == 404, absent


def test_a_good_signature_is_judged_good_again(service: Service) -> None:
    send(service)
    found = told(service, "/_simulator/requests/1")["signature"]
    assert (found["good"], found["code"], found["reason"]) == (True, None, None)


def test_no_secret_is_told_anywhere(service: Service) -> None:
    send(service)
    everything = [
        ask(service, target).body
        for target in (
            "/",
            "/_simulator/view/requests/1",
            "/_simulator/view/faults",
            "/_simulator/requests",
            "/_simulator/requests/1",
            "/_simulator/mails",
            "/_simulator/account",
        )
    ]
    assert b"simulator-secret" not in b"".join(everything)


def test_clearing_the_mails_keeps_scripts_and_use(service: Service) -> None:
    send(service)
    service.faults.script("ben@example.com", ["503"])
    told(service, "/_simulator/mails", "DELETE")
    assert told(service, "/_simulator/mails") == {"mails": []}
    assert told(service, "/_simulator/requests") == {"requests": []}
    assert len(told(service, "/_simulator/faults")["faults"]) == 1
    assert told(service, "/_simulator/account")["get_account"]["SendQuota"]["SentLast24Hours"] == 1


def test_scripts_are_given_shown_and_taken_away(service: Service) -> None:
    body = json.dumps({"address": "Anna@example.com", "steps": ["429x2", "slow-2.5", "reject"]}).encode()
    [script] = told(service, "/_simulator/faults", "POST", body)["faults"]
    assert script == {
        "address": "anna@example.com",
        "steps": ["429x2", "slow-2.5", "reject"],
        "consumed": 0,
        "over": False,
    }
    assert send(service) == 429
    assert told(service, "/_simulator/faults")["faults"][0]["consumed"] == 1
    assert told(service, "/_simulator/faults?address=ANNA@example.com", "DELETE") == {"faults": []}
    assert send(service) == 200
    assert ask(service, "/_simulator/faults?address=anna@example.com", "DELETE").status == 404
    told(service, "/_simulator/faults", "POST", b'{"address": "a@b.example", "steps": "503+429"}')
    assert told(service, "/_simulator/faults", "DELETE") == {"faults": []}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[" * 50_000, "not JSON"),
        (b"[]", 'give {"address"'),
        (b'{"address": 5, "steps": ["503"]}', 'give {"address"'),
        (b'{"address": "a@b.example", "steps": [503]}', 'give {"address"'),
        (b'{"address": "a@b.example"}', 'give {"address"'),
        (b'{"address": "nobody", "steps": ["503"]}', "'nobody' is not an address"),
        (b'{"address": "a b@c", "steps": ["503"]}', "is not an address"),
        (b'{"address": "a@b.example", "steps": ["200"]}', "'200' is not a step"),
        (json.dumps({"address": "a@b.example", "steps": ["503"] * 1001}).encode(), "1001 steps are too many"),
    ],
)
def test_what_is_no_script_is_refused_with_the_reason(service: Service, body: bytes, words: str) -> None:
    shown = ask(service, "/_simulator/faults", "POST", body)
    assert shown.status == 400
    assert words in json.loads(shown.body)["error"]
    assert service.faults.scripts() == []


def test_the_account_is_told() -> None:
    service = Service(Options(sandbox=True, verified=["example.com"], rate=14, quota=200))
    found = told(service, "/_simulator/account")
    assert (found["sandbox"], found["verified"], found["rate"], found["quota"]) == (
        True,
        ["example.com"],
        14,
        200,
    )
    assert found["get_account"]["ProductionAccessEnabled"] is False
