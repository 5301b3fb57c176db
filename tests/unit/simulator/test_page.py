"""The page's views, without a socket."""

from __future__ import annotations

import json
import re

from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator.service import Service
from rq_ses_worker.simulator.web.page.inbox import PAGE_SIZE
from support.mails.mail import mail
from support.ses.simulated import ask, page, send, subjects, submit

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"


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
