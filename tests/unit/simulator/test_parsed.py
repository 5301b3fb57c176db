"""What the simulator reads out of a request, whoever wrote it."""

from __future__ import annotations

import base64
import json
from email.message import EmailMessage
from typing import Any

import pytest

from rq_ses import Attachment, Message
from rq_ses.message.render import send_email_body
from rq_ses_worker.simulator.records.parsed import ParsedMail, decoded, parse_mail
from rq_ses_worker.simulator.web.page import documents
from support.mails.mail import ODD, mail


def letter(**fields: Any) -> ParsedMail:
    found = parse_mail(send_email_body(mail(**fields)))
    assert found is not None
    return found


def raw(message: bytes, **request: Any) -> ParsedMail:
    content = {"Raw": {"Data": base64.b64encode(message).decode()}}
    found = parse_mail(json.dumps({"Content": content, **request}).encode())
    assert found is not None
    return found


def test_a_message_comes_back_as_it_was_built() -> None:
    message = Message(
        sender="Jürgen Öz <shop@example.com>",
        to=["Anna <anna@example.com>", "ben@example.com"],
        cc=["cc@example.com"],
        bcc=["bcc@example.com"],
        reply_to=["help@example.com"],
        subject="Grüße ✓",
        text="Hallo",
        html="<p>Hallo</p>",
        headers={"List-Unsubscribe": "<mailto:off@example.com>"},
        tags={"campaign": "spring"},
        configuration_set="main",
        attachments=[Attachment(filename="bill.pdf", content=b"%PDF"), _logo()],
    )
    found = parse_mail(send_email_body(message))
    assert found is not None
    assert found.sender == message.sender
    for name in ("to", "cc", "bcc", "reply_to", "subject", "text", "html", "configuration_set"):
        assert getattr(found, name) == getattr(message, name), name
    assert found.headers == dict(message.headers)
    assert found.tags == dict(message.tags)
    assert [(one.filename, one.content, one.content_type, one.content_id) for one in found.attachments] == [
        ("bill.pdf", b"%PDF", "application/pdf", None),
        ("logo.png", b"\x89PNG", "image/png", "logo"),
    ]


def test_comments_in_headers_of_mime_are_passed_over() -> None:
    found = raw(
        b"From: a@example.com\r\nTo: b@example.com, c@example.com (Sales, Berlin)\r\nSubject: S\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1 (Latin)\r\n"
        b"Content-Transfer-Encoding: base64 (as of old)\r\n\r\nS/ZsbgrCow==\r\n"
    )
    assert found.text == "Köln\nÂ£"
    assert found.to == ("b@example.com", "Sales, Berlin <c@example.com>")


def _logo() -> Attachment:
    return Attachment(filename="logo.png", content=b"\x89PNG", content_id="logo")


def test_raw_mails_are_taken_apart() -> None:
    message = EmailMessage()
    message["From"] = "Jürgen <shop@example.com>"
    message["To"] = "Anna <anna@example.com>, ben@example.com"
    message["Reply-To"] = "help@example.com"
    message["Subject"] = "Grüße"
    message["X-Own"] = "1"
    message.set_content("Hällo")
    message.add_alternative("<p>Hällo</p>", subtype="html")
    message.add_attachment(b"a,b", maintype="text", subtype="csv", filename="naïve.csv")
    found = raw(message.as_bytes())
    assert found.sender == "Jürgen <shop@example.com>"
    assert found.to == ("Anna <anna@example.com>", "ben@example.com")
    assert found.reply_to == ("help@example.com",)
    assert found.subject == "Grüße"
    assert (found.text or "").strip() == "Hällo"
    assert (found.html or "").strip() == "<p>Hällo</p>"
    assert found.headers["X-Own"] == "1"
    assert [(one.filename, one.content) for one in found.attachments] == [("naïve.csv", b"a,b")]


def test_long_headers_are_unfolded_and_names_are_decoded_after_the_addresses_are_told_apart() -> None:
    found = raw(
        b"Subject: A subject that goes\r\n on in the next line\r\n"
        b"To: =?utf-8?q?M=C3=BCller=2C_Anna?= <anna@example.com>,\r\n\tben@example.com\r\n\r\nx"
    )
    assert found.subject == found.headers["Subject"] == "A subject that goes on in the next line"
    assert found.to == ("Müller, Anna <anna@example.com>", "ben@example.com")


def test_a_raw_mail_is_kept_byte_for_byte() -> None:
    assert raw(ODD).mime == ODD
    assert letter().mime is None


def test_the_destination_wins_over_a_raw_mails_headers() -> None:
    found = raw(b"To: shown@example.com\n\nx", Destination={"BccAddresses": ["anna@example.com"]})
    assert (found.to, found.bcc) == ((), ("anna@example.com",))


def test_a_template_is_shown_as_it_is() -> None:
    texts = {"Subject": "Hi {{name}}", "Text": "Dear {{name}}"}
    body = json.dumps({"Content": {"Template": {"TemplateContent": texts}}}).encode()
    found = parse_mail(body)
    assert found is not None
    assert (found.subject, found.text) == ("Hi {{name}}", "Dear {{name}}")


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b'"x"', b"null", b"9" * 5000, b"[" * 100_000, b"{" * 100_000]
)
def test_what_is_no_request_is_no_letter(body: bytes) -> None:
    assert parse_mail(body) is None


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"Content": []},
        {"Content": {"Simple": {"Subject": 1, "Body": {"Text": [], "Html": {"Data": 5}}}}},
        {
            "Content": {
                "Simple": {"Headers": {"a": 1}, "Attachments": [1, {"RawContent": 3}, {"FileName": []}]}
            }
        },
        {"Content": {"Raw": {"Data": "no base64!"}}},
        {"Content": {"Raw": 5}, "Destination": {"ToAddresses": "x"}},
        {"FromEmailAddress": 5, "Destination": [], "EmailTags": [{"Name": 1, "Value": 2}, 7]},
        {"Content": {"Template": []}},
    ],
)
def test_a_request_of_wrong_types_is_read_as_far_as_it_goes(request_: dict[str, Any]) -> None:
    found = parse_mail(json.dumps(request_).encode())
    assert found is not None
    assert (found.sender, found.to, found.html) == ("", (), None)
    assert not found.matches(["anything"], None)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00\xff" * 50,
        b"Content-Type: text/html; charset=nonsense\n\n\xff<b>",
        b'Content-Type: text/plain; charset="\xff"\n\n\xff',
        b"Content-Type: multipart/mixed; boundary=x\n\n"
        + b"--x\nContent-Type: multipart/mixed; boundary=x\n\n" * 3000,
        b"Content-Transfer-Encoding: base64\n\n!!!",
        b"Subject: =?nonsense?q?x?=\nFrom: =?utf-8?b?=FF?= <\n\n",
        b"Content-Type: application/pdf; name*=nonsense''%FF\nContent-Disposition: attachment\n\nx",
        b"Content-Disposition: attachment; filename*0*=x''%zz; filename*2=y\n\nx",
        b"To: " + b"(" * 5000 + b"\n\nx",
    ],
)
def test_odd_raw_mails_are_read_without_an_error(message: bytes) -> None:
    found = raw(message)
    for one in found.attachments:
        documents.download(one.filename, one.content)
    assert isinstance(found.subject, str)


def test_encoded_words_that_are_broken_stay_as_they_are() -> None:
    assert decoded("=?utf-8?q?Gr=C3=BC=C3=9Fe?=") == "Grüße"
    for broken in ("=?utf-8?b?A?=", "=?nonsense?q?x?=", "=?", "=?utf-8?q?=FF?="):
        assert decoded(broken)


def test_a_search_looks_at_people_subject_text_and_message_id() -> None:
    found = letter(subject="Grüße", text="Your order 4711", cc=["Ben <ben@example.com>"])
    for words in (["anna@"], ["ben"], ["shop"], ["grüsse"], ["4711", "order"], ["0100-ab"]):
        assert found.matches(words, "0100-AB"), words
    assert not found.matches(["4711", "absent"], "0100-AB")
    assert letter(text=None, html="<b>only</b>").matches(["only"], None)


# What a browser gets of it


def test_images_the_mail_carries_are_shown_and_no_others() -> None:
    evil = Attachment(filename="x", content=b"<script>", content_id="evil", content_type="text/html")
    shown = documents.html(
        letter(
            html='<img src="cid:logo"><img src=CID:logo><img src="cid:evil"><img src="cid:none">',
            attachments=[_logo(), evil],
        )
    )
    data = base64.b64encode(b"\x89PNG").decode()
    assert shown.body.decode() == (
        f'<img src="data:image/png;base64,{data}"><img src=data:image/png;base64,{data}>'
        '<img src="cid:evil"><img src="cid:none">'
    )


def test_an_image_named_a_thousand_times_does_not_fill_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_IMAGES_LIMIT", 100)
    shown = documents.html(letter(html="<img src=cid:logo>" * 1000, attachments=[_logo()]))
    assert 1 <= shown.body.count(b"data:") <= 100 // len("data:image/png;base64,")
    assert shown.body.count(b"cid:logo") + shown.body.count(b"data:") == 1000


def test_the_html_of_a_mail_has_a_policy_under_which_nothing_runs_or_loads() -> None:
    shown = documents.html(letter(html="<p>Hi"))
    policy = shown.headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "sandbox"  # alone: no allow-…
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    assert "form-action 'none'" in policy
    assert "base-uri 'none'" in policy
    assert not [part for part in policy if part.startswith(("script-src", "connect-src", "frame-src"))]
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"


def test_lone_surrogates_do_not_keep_a_mail_from_being_shown() -> None:
    body = b'{"Content": {"Simple": {"Body": {"Html": {"Data": "a\\ud83db"}}}}}'
    found = parse_mail(body)
    assert found is not None
    assert documents.html(found).body == b"a?b"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("bill.pdf", "bill.pdf"),
        ("Übersicht 1.pdf", "Übersicht 1.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\x.exe", "x.exe"),
        (".bashrc", "bashrc"),
        ('a"; filename="b.exe', "a__ filename=_b.exe"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie_ x"),
        ("gpj\u202eexe.txt", "gpj_exe.txt"),
        ("\ud83d.txt", "_.txt"),
        ("...", "attachment"),
        ("", "attachment"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
    ],
)
def test_attachments_are_saved_under_safe_names(name: str, safe: str) -> None:
    shown = documents.download(name, b"x")
    assert documents.safe_name(name) == safe
    disposition = shown.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.isascii()
    assert not set("\r\n") & set(disposition)
    assert disposition.count('"') == 2
    assert shown.headers["Content-Type"] == "application/octet-stream"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
