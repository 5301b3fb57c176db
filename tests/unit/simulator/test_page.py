"""The simulator's page and its JSON, without a socket."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rq_ses import Attachment
from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator import console
from rq_ses_worker.simulator.call import Call
from rq_ses_worker.simulator.mailbox.shown import Shown
from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.page.pages import PAGE_SIZE
from rq_ses_worker.simulator.service import Service
from support.mails.mail import mail

PATH = "/v2/email/outbound-emails"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"


@pytest.fixture
def service() -> Service:
    return Service(Options(error_shape="header"))


def submit(
    service: Service,
    body: bytes,
    *,
    secret: str = "simulator-secret",
    query: str = "",
    method: str = "POST",
    path: str = PATH,
) -> int:
    request = AWSRequest(method, f"http://localhost{path}{query}", data=body)
    SigV4Auth(Credentials("AKIDSIMULATOR", secret), "ses", "us-east-1").add_auth(request)
    headers = [("Host", "localhost"), *request.headers.items()]
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return service.handle(method, (path + query).encode(), raw, body, service.arrival()).status


def send(service: Service, to: str = "anna@example.com", **fields: Any) -> int:
    return submit(service, send_email_body(mail(to, **fields)))


def ask(service: Service, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Shown:
    sent = {"host": ["localhost"]} | {name.replace("_", "-"): [value] for name, value in headers.items()}
    return console.respond(service, Call(method, target.encode(), sent, "127.0.0.1", body))


def told(service: Service, target: str, method: str = "GET", body: bytes = b"") -> Any:
    shown = ask(service, target, method, body)
    assert shown.status == 200, shown.body
    return json.loads(shown.body)


def page(service: Service, target: str, status: int = 200) -> str:
    shown = ask(service, target)
    assert shown.status == status
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    return shown.body.decode()


def subjects(text: str) -> list[str]:
    return re.findall(r'<a href="/_simulator/view/requests/\d+"><bdi>(.*?)</bdi>', text)


# The JSON


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
    [story] = told(service, "/_simulator/faults", "POST", body)["faults"]
    assert story == {
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
    assert service.faults.stories() == []


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


# The page


def test_the_inbox_lists_accepted_and_refused_mails_newest_first(service: Service) -> None:
    send(service, "bounce@simulator.amazonses.com", subject="Bounces")
    send(service, "429.x@faults.example", subject="Limited")
    submit(service, send_email_body(mail(subject="Unsigned")), secret="wrong")
    text = page(service, "/")
    assert subjects(text) == ["Unsigned", "Limited", "Bounces"]
    for words in ("403 InvalidSignatureException", "429 TooManyRequestsException", "accepted", "bounce"):
        assert words in text
    assert subjects(page(service, "/?show=accepted")) == ["Bounces"]
    assert subjects(page(service, "/?show=refused")) == ["Unsigned", "Limited"]
    assert subjects(page(service, "/?show=nonsense&before=x")) == ["Unsigned", "Limited", "Bounces"]


def test_requests_that_send_nothing_are_listed_on_request(service: Service) -> None:
    service.handle("GET", b"/v2/email/account", [], b"", service.arrival())
    assert subjects(page(service, "/")) == []
    assert subjects(page(service, "/?show=requests")) == ["GET /v2/email/account"]


def test_a_question_that_was_answered_does_not_look_refused(service: Service) -> None:
    assert submit(service, b"", method="GET", path="/v2/email/account") == 200
    assert '<span class="badge good">200</span>' in page(service, "/?show=requests")


def test_the_inbox_is_searched(service: Service) -> None:
    send(service, "anna@example.com", subject="Welcome", text="eins")
    send(service, "ben@example.com", subject="Order", text="zwei")
    message_id = service.inbox.mails()[0].message_id
    for query, found in [
        ("anna", "Welcome"),
        ("ZWEI", "Order"),
        (message_id, "Welcome"),
        ("ben+order", "Order"),
    ]:
        assert subjects(page(service, f"/?q={query}")) == [found]
    assert "Nothing matches." in page(service, "/?q=anna+zwei")


def test_a_long_inbox_is_paged(service: Service) -> None:
    for number in range(PAGE_SIZE + 5):
        send(service, subject=f"n{number}")
    first = page(service, "/")
    assert len(subjects(first)) == PAGE_SIZE
    [older] = re.findall(r'<a href="([^"]+)">Older</a>', first)
    assert subjects(page(service, older.replace("&amp;", "&"))) == ["n4", "n3", "n2", "n1", "n0"]


def test_whatever_a_mail_says_is_escaped_on_every_page(service: Service) -> None:
    request = json.loads(
        send_email_body(mail(subject=SCRIPT, text=SCRIPT, html=SCRIPT, headers={"X-Own": SCRIPT}))
    )
    request["FromEmailAddress"] = f'"{SCRIPT}" <a@example.com>'
    request["Destination"]["CcAddresses"] = [SCRIPT]
    request["ConfigurationSetName"] = SCRIPT
    request["EmailTags"] = [{"Name": SCRIPT, "Value": SCRIPT}]
    request["Content"]["Simple"]["Attachments"] = [
        {"FileName": SCRIPT, "RawContent": "eA==", "ContentType": SCRIPT, "ContentId": SCRIPT}
    ]
    submit(service, json.dumps(request).encode(), query=f"?{'%3Cscript%3E'}<script>")
    service.handle("GET", b"/<script>alert(1)</script>", [(b"<script>", b"<script>")], b"", service.arrival())
    for target in ("/", "/?show=requests", "/_simulator/view/requests/1", "/_simulator/view/requests/2"):
        text = page(service, target)
        assert "<script>" not in text
        assert "<img" not in text
        assert re.findall(r"<script[^>]*>", text) == ['<script src="/_simulator/static/page.js" defer>']
    searched = page(service, "/?q=%22%3E%3Cscript%3E")
    assert "<script>" not in searched
    assert "&#34;&gt;&lt;script&gt;" in searched


def test_a_mail_that_cannot_be_encoded_is_shown_all_the_same(service: Service) -> None:
    body = send_email_body(mail(subject="mark")).replace(b"mark", b"a\\ud83db")
    submit(service, body)
    assert subjects(page(service, "/")) == ["a?b"]
    assert "a?b" in page(service, "/_simulator/view/requests/1")


def test_the_detail_of_a_refused_request_says_why_and_what_was_signed(service: Service) -> None:
    submit(service, send_email_body(mail(subject="Refused")), secret="wrong")
    text = page(service, "/_simulator/view/requests/1")
    assert "The request signature we calculated does not match" in text
    assert "Canonical request, as the simulator sees it" in text
    assert "host:localhost" in text
    assert 'iframe sandbox=""' not in text
    service.faults.script("anna@example.com", ["reject"])
    send(service)
    assert "Email address is not verified." in page(service, "/_simulator/view/requests/2")


def test_html_stands_in_a_frame_that_may_nothing(service: Service) -> None:
    send(service, html="<p>Hi")
    frame = re.findall(r"<iframe [^>]+>", page(service, "/_simulator/view/requests/1"))
    assert len(frame) == 1
    assert 'sandbox=""' in frame[0]
    assert 'src="/_simulator/requests/1/html"' in frame[0]
    assert "srcdoc" not in frame[0]


def test_what_is_no_longer_kept_says_so(service: Service) -> None:
    assert "not kept any more" in page(service, "/_simulator/view/requests/7", 404)
    assert "not kept any more" in page(service, "/_simulator/view/requests/x", 404)


def test_pages_carry_a_policy_without_anything_inline(service: Service) -> None:
    send(service)
    for target in ("/", "/_simulator/view/requests/1", "/_simulator/view/faults"):
        shown = ask(service, target)
        policy = dict(
            part.partition(" ")[::2] for part in shown.headers["Content-Security-Policy"].split("; ")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["frame-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        text = shown.body.decode()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", text)


def test_static_files_are_served_and_nothing_else_is(service: Service) -> None:
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg")):
        shown = ask(service, f"/_simulator/static/{name}")
        assert shown.status == 200
        assert shown.headers["Content-Type"].startswith(kind)
        assert shown.body
    for name in ("", "..", "../pages.py", "%2e%2e%2fpages.py", "other.js", "page.css/"):
        assert ask(service, f"/_simulator/static/{name}").status == 404


def test_an_unchanged_page_is_not_sent_again(service: Service) -> None:
    for target in ("/", "/_simulator/view/faults"):
        tag = ask(service, target).headers["ETag"]
        assert ask(service, target, if_none_match=tag).status == 304
        send(service)
        changed = ask(service, target, if_none_match=tag)
        assert changed.status == 200
        service.faults.script("a@example.com", ["503"])
        assert ask(service, target, if_none_match=changed.headers["ETag"]).status == 200
    tag = ask(service, "/").headers["ETag"]
    service.inbox.clear()
    assert ask(service, "/", if_none_match=tag).status == 200


# Forms


def test_the_forms_clear_and_script(service: Service) -> None:
    send(service)
    done = ask(service, "/_simulator/view/clear", "POST")
    assert (done.status, done.headers["Location"]) == (303, "/")
    assert service.inbox.mails() == []
    form = b"action=add&address=Anna%40example.com&steps=429x2%2B+503%2C+reject"
    assert ask(service, "/_simulator/view/faults", "POST", form).status == 303
    [story] = service.faults.stories()
    assert (story.address, story.steps) == ("anna@example.com", ("429x2", "503", "reject"))
    assert "429x2+503+reject" in page(service, "/_simulator/view/faults")
    assert (
        ask(service, "/_simulator/view/faults", "POST", b"action=remove&address=anna%40example.com").status
        == 303
    )
    assert service.faults.stories() == []
    service.faults.script("a@example.com", ["503"])
    assert ask(service, "/_simulator/view/faults", "POST", b"action=remove-all").status == 303
    assert service.faults.stories() == []


def test_a_wrong_step_is_said_beside_the_form_which_keeps_its_values(service: Service) -> None:
    shown = ask(service, "/_simulator/view/faults", "POST", b"action=add&address=a%40b.example&steps=%3Cb%3E")
    text = shown.body.decode()
    assert shown.status == 400
    assert "is not a step" in text
    assert 'value="a@b.example"' in text
    assert 'value="&lt;b&gt;"' in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/_simulator/view/clear"),
        ("POST", "/_simulator/view/faults"),
        ("POST", "/_simulator/faults"),
        ("DELETE", "/_simulator/faults"),
        ("DELETE", "/_simulator/mails"),
        ("DELETE", "/_simulator"),
    ],
)
@pytest.mark.parametrize("origin", ["http://attacker.example", "null", "http://localhost:3000"])
def test_another_sites_page_changes_nothing(service: Service, method: str, target: str, origin: str) -> None:
    send(service)
    service.faults.script("kept@example.com", ["503"])
    body = b"action=add&address=a%40example.com&steps=503"
    if target == "/_simulator/faults":
        body = b'{"address": "a@example.com", "steps": ["503"]}'
    assert ask(service, target, method, body, origin=origin).status == 403
    assert ask(service, target, method, body, sec_fetch_site="cross-site").status == 403
    assert len(service.inbox.mails()) == 1
    assert [story.address for story in service.faults.stories()] == ["kept@example.com"]


def test_a_get_changes_nothing(service: Service) -> None:
    send(service)
    for target in ("/_simulator/view/clear", "/_simulator/view/faults?action=remove-all", "/_simulator"):
        ask(service, target)
        ask(service, target, "HEAD")
    assert len(service.inbox.mails()) == 1


def test_browsers_that_ask_for_an_icon_are_not_taken_for_ses_clients() -> None:
    for target, is_ours in [
        (b"/", True),
        (b"/favicon.ico", True),
        (b"/_simulator", True),
        (b"/_simulators", False),
    ]:
        assert console.is_console("GET", target) is is_ours
    assert not console.is_console("POST", b"/")


# What is kept


def test_bodies_are_given_up_before_requests_are(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setattr("rq_ses_worker.simulator.mailbox.inbox.MAX_WIRE_BYTES", 3000)
    for number in range(5):
        submit(service, send_email_body(mail(subject=f"n{number}", text="x" * 1000)), secret="wrong")
    assert told(service, "/_simulator/stats")["requests"] == 5
    assert "headers" not in told(service, "/_simulator/requests/1")
    assert "headers" in told(service, "/_simulator/requests/5")
    assert "not kept any more" in page(service, "/_simulator/view/requests/1")
    assert subjects(page(service, "/"))[-1] == f"POST {PATH}"


def test_a_forgotten_mail_is_forgotten_by_its_id(service: Service) -> None:
    service = Service(Options(keep=1))
    send(service, subject="first")
    first = service.inbox.mails()[0].message_id
    send(service, subject="second")
    assert ask(service, f"/_simulator/mails/{first}").status == 404
    assert service.inbox.mail(first) is None
