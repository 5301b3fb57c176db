"""A Django mail and what is enqueued for it; what its reader gets: integration/django/test_forms.py."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.mime.base import MIMEBase
from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings
from django.utils.functional import lazystr
from pydantic import ValidationError

from rq_ses import Message, RawMessage
from rq_ses.django.conversion import Converted, convert
from rq_ses.message.render import send_email_request

ANNA = "anna@customer.example"


def mail(**fields: Any) -> Any:
    return EmailMessage(**{"subject": "S", "body": "T", "to": [ANNA], **fields})


def converted(one: Any) -> Converted:
    return convert(one, priority="normal", expires=None)


def message_of(one: Any) -> Any:
    [submission] = converted(one).submissions
    return submission.message


def test_a_plain_mail_is_a_message() -> None:
    message = message_of(mail(cc=["b@c.example"], bcc=["d@c.example"], reply_to=["e@c.example"]))
    assert message == Message(
        sender="Shop <hello@shop.example>",
        to=[ANNA], cc=["b@c.example"], bcc=["d@c.example"], reply_to=["e@c.example"],
        subject="S", text="T",
    )  # fmt: skip


def test_blank_addresses_are_nobodys() -> None:
    assert message_of(mail(to=["", None, ANNA], cc=[""])).recipients == (ANNA,)


@pytest.mark.parametrize("name", ["Reply-To", "reply-to", "REPLY-TO"])
def test_reply_to_counts_in_any_case_and_wins(name: str) -> None:
    message = message_of(mail(headers={name: "a@c.example"}, reply_to=["b@c.example"]))
    assert message.reply_to == ("a@c.example",)


@pytest.mark.parametrize("name", ["From", "from"])
def test_a_from_among_the_headers_is_the_sender(name: str) -> None:
    assert message_of(mail(headers={name: "Other <o@shop.example>"})).sender == "Other <o@shop.example>"


def test_the_from_in_djangos_spelling_is_meant_where_there_are_two() -> None:
    for headers in (
        {"From": "a@c.example", "from": "b@c.example"},
        {"from": "b@c.example", "From": "a@c.example"},
    ):
        assert message_of(mail(headers=headers)).sender == "a@c.example"


def test_header_values_may_be_numbers_lazy_or_none() -> None:
    message = message_of(
        mail(headers={"X-Number": 7, "X-Lazy": lazystr("l"), "X-None": None, "X-Bytes": b"b"})
    )
    assert dict(message.headers) == {"X-Number": "7", "X-Lazy": "l", "X-Bytes": "b"}


def test_headers_that_ses_writes_anew_dont_make_mime_of_a_mail() -> None:
    given = {"Message-ID": "<1@shop.example>", "date": "now", "MIME-Version": "1.0", "X-Kept": "1"}
    message = message_of(mail(headers=given))
    assert isinstance(message, Message)
    assert dict(message.headers) == {"X-Kept": "1"}


@pytest.mark.parametrize("name", ["Bcc", "bcc", "Subject", "content-type", "Content-Transfer-Encoding"])
def test_headers_that_would_damage_a_mail_are_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"^headers: '{name}' is not a header to set: (use the arg|leave it)"
    ):
        converted(mail(headers={name: "x"}))


@pytest.mark.parametrize("name", ["X-A: 1\r\nBcc", "X-A\nBcc", "Bcc ", "Bcc:", "X-Ä", ""])
def test_no_name_of_a_header_is_another_header_too(name: str) -> None:
    with pytest.raises(ValueError, match="is no header's name: use printable ASCII"):
        converted(mail(headers={name: "eve@customer.example"}))


@pytest.mark.parametrize("name", ["X-Evil", "Reply-To", "From", "To", "Message-ID-Of-Mine"])
def test_no_header_breaks_out_of_its_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        converted(mail(headers={name: "a@c.example\nBcc: thief@c.example"}))
    with pytest.raises(ValueError, match=r"."):
        converted(mail(subject="S\nBcc: thief@c.example"))


def test_an_address_that_ses_takes_from_nobody_is_named() -> None:
    with pytest.raises(ValidationError, match="'root@localhost' has no full domain"):
        converted(mail(from_email="root@localhost"))
    # As MIME, too.
    with pytest.raises(ValueError, match="sender: 'root@localhost' has no full domain"):
        converted(mail(from_email="root@localhost", body=""))
    with pytest.raises(ValidationError, match="'nobody' is not an e-mail address"):
        converted(mail(to=["nobody"], body=""))


@pytest.mark.parametrize("body", ["NUL \0", "surrogate \ud800"])
def test_a_body_that_no_mail_may_have_is_refused(body: str) -> None:
    with pytest.raises(ValidationError, match="text"):
        converted(mail(body=body))


@pytest.mark.parametrize(
    "content", [BytesIO(b"x"), SimpleUploadedFile("f.txt", b"x"), 7, ["x"], EmailMessage("S", "T")]
)
def test_an_attachment_that_is_no_content_is_refused(content: Any) -> None:
    one = mail()
    one.attachments.append(("f.txt", content, "text/plain"))
    with pytest.raises(
        TypeError, match=r"the content of 'f.txt' \('text/plain'\) is a \w+: give text or bytes"
    ):
        converted(one)


@pytest.mark.parametrize(
    ("given", "kind", "content"),
    [
        (("a.csv", "ä", "text/csv"), 'text/csv; charset="utf-8"', "ä".encode()),
        (("a.csv", "ä", "text/csv; charset=latin-1"), "text/csv; charset=latin-1", b"\xe4"),
        (("a.csv", b"\xe4", "text/csv; charset=latin-1"), "text/csv; charset=latin-1", b"\xe4"),
        (("a.csv", b"\xe4", "text/csv"), "application/octet-stream", b"\xe4"),
        (("a.pdf", b"%PDF", "application/x-shop"), "application/x-shop", b"%PDF"),
        (("a.pdf", memoryview(b"%PDF"), None), "application/pdf", b"%PDF"),
        (("a.json", lazystr("{}"), "application/json"), "application/json", b"{}"),
        (("a.json", "Łódź", "application/json"), "application/json", "Łódź".encode()),
        (("a", b"x"), "application/octet-stream", b"x"),
        ((lazystr("a.pdf"), b"%PDF", lazystr("application/pdf")), "application/pdf", b"%PDF"),
    ],
)
def test_an_attachment_keeps_the_type_that_was_given(given: Any, kind: str, content: bytes) -> None:
    one = mail()
    one.attachments.append(given)
    [attachment] = message_of(one).attachments
    assert (attachment.content_type, attachment.content) == (kind, content)


def test_two_files_of_one_name_are_both_attached() -> None:
    one = mail()
    one.attach("bill.pdf", b"%PDF-1", "application/pdf")
    one.attach("bill.pdf", b"%PDF-2", "application/pdf")
    found = [(attachment.filename, attachment.content) for attachment in message_of(one).attachments]
    assert found == [("bill.pdf", b"%PDF-1"), ("bill.pdf", b"%PDF-2")]


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("text/plain; charset=us-ascii (Plain text)", "base64"),
        ("text/plain (plain)", "base64"),
        ("text/plain", "base64 (as of old)"),
        ("text/plain", "base64 "),
    ],
)
def test_a_part_whose_headers_hold_a_comment_is_sent_as_it_is(kind: str, encoding: str) -> None:
    part = MIMEBase("text", "plain")
    part.replace_header("Content-Type", kind)
    part["Content-Transfer-Encoding"] = encoding
    part.add_header("Content-Disposition", "attachment", filename="a.txt")
    part.set_payload("aGVsbG8=\r\n")
    one = mail()
    one.attachments.append(part)
    message = message_of(one)
    assert isinstance(message, RawMessage)
    assert b"aGVsbG8=" in message.data


def test_mime_of_equal_mails_is_equal_and_in_seven_bits() -> None:
    def one() -> Any:
        made = EmailMultiAlternatives("Ä", "ä" * 2000, to=[ANNA])
        made.attach_alternative("BEGIN:VCALENDAR ä", "text/calendar; method=REQUEST")
        made.attach("ä.txt", "ä", "text/plain")
        return made

    first, second = message_of(one()), message_of(one())
    assert isinstance(first, RawMessage)
    assert first.data == second.data
    assert first.data.isascii()
    assert b"\r\n" in first.data
    assert b"\n" not in first.data.replace(b"\r\n", b"")


def test_a_mail_of_files_alone_says_that_it_is_mime() -> None:
    message = message_of(mail(body="", attachments=[("a.json", "Łódź", "application/json")]))
    parsed = message_from_bytes(message.data)
    assert parsed.get_all("MIME-Version") == ["1.0"]
    assert parsed.get_payload()[0].get_payload(decode=True) == "Łódź".encode()


def test_mime_has_no_bcc_but_its_envelope_has() -> None:
    message = message_of(mail(body="", bcc=["secret@c.example"]))
    assert b"secret" not in message.data
    assert message.to == (ANNA, "secret@c.example")


def test_a_mail_is_left_as_it_is() -> None:
    one = mail(body="", to=["", ANNA], headers={"reply-to": "a@c.example", "X": None})
    converted(one)
    assert (one.to, one.extra_headers) == (["", ANNA], {"reply-to": "a@c.example", "X": None})


def test_a_subclass_decides_who_gets_a_mail() -> None:
    class Caught(EmailMessage):  # type: ignore[misc]
        def recipients(self) -> list[str]:
            return ["catchall@shop.example"]

    message = message_of(Caught("S", "T", to=[ANNA]))
    assert isinstance(message, RawMessage)
    assert message.to == ("catchall@shop.example",)
    assert f"To: {ANNA}".encode() in message.data


@override_settings(DEFAULT_CHARSET="iso-8859-1")
def test_another_charset_by_default_makes_mime() -> None:
    assert b"iso-8859-1" in message_of(mail(body="ä")).data


def test_more_than_fifty_recipients_are_several_jobs_with_keys_of_their_own() -> None:
    one = mail(to=[f"a{number}@c.example" for number in range(101)])
    one.rq_ses = {"key": "news"}
    submissions = converted(one).submissions
    assert [submission.key for submission in submissions] == ["news", "news+2", "news+3"]
    assert [len(submission.message.recipients) for submission in submissions] == [50, 50, 1]
    assert len({submission.message.data for submission in submissions}) == 1  # type: ignore[union-attr]


def test_terms_stand_on_the_mail() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    one = mail()
    one.rq_ses = {
        "key": "k", "at": at, "expires": at + timedelta(hours=1), "on_unknown": "hold", "priority": "high",
        "tags": {"kind": "order"}, "configuration_set": "shop",
    }  # fmt: skip
    [submission] = convert(one, priority="bulk", expires=60).submissions
    assert (submission.key, submission.at, submission.priority) == ("k", at, "high")
    assert (submission.expires, submission.on_unknown) == (at + timedelta(hours=1), "hold")
    message = submission.message
    assert (dict(message.tags), message.configuration_set) == ({"kind": "order"}, "shop")
    # As MIME, too.
    one.body = ""
    message = message_of(one)
    assert isinstance(message, RawMessage)
    assert (dict(message.tags), message.configuration_set) == ({"kind": "order"}, "shop")


@pytest.mark.parametrize("body", ["T", ""])
def test_a_link_that_unsubscribes_becomes_two_headers(body: str) -> None:
    link = f"https://shop.example/u/{'0123456789' * 12}"
    one = mail(body=body)
    one.rq_ses = {"unsubscribe": link}
    request = send_email_request(message_of(one))
    if body:
        headers = {each["Name"]: each["Value"] for each in request["Content"]["Simple"]["Headers"]}
    else:
        headers = dict(message_from_bytes(b64decode(request["Content"]["Raw"]["Data"])))
    assert headers["List-Unsubscribe"].split() == [f"<{link}>"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    one.extra_headers["List-Unsubscribe"] = "<mailto:u@shop.example>"
    with pytest.raises(ValidationError, match="it writes List-Unsubscribe, which headers has as well"):
        converted(one)
    one.rq_ses = {"unsubscribe": "http://shop.example"}
    with pytest.raises(ValidationError, match="unsubscribe"):
        converted(one)


def test_terms_that_a_mail_doesnt_say_are_the_backends() -> None:
    [submission] = convert(mail(), priority="bulk", expires=60).submissions
    assert (submission.priority, submission.expires) == ("bulk", 60)


@pytest.mark.parametrize(
    ("terms", "error", "text"),
    [
        ({"prority": "high"}, ValueError, "rq_ses: 'prority' is no term: give some of at, "),
        ({"subject": "x"}, ValueError, "rq_ses: 'subject' is no term"),
        ("key", TypeError, "rq_ses: 'key' is no mapping"),
        ({"key": ""}, ValueError, "key: '' can't be used"),
        ({"priority": "urgent"}, ValueError, "priority: 'urgent' can't be used"),
        ({"at": datetime(2030, 1, 1)}, ValueError, "at: .* has no time zone"),  # noqa: DTZ001
        ({"expires": -1}, ValueError, "expires: "),
        ({"delay": "soon"}, TypeError, "delay: "),
        ({"on_unknown": "drop"}, ValueError, "on_unknown: "),
        ({"tags": {"a b": "c"}}, ValueError, "tags"),
    ],
)
def test_terms_that_cant_be_used_are_refused_before_anything_is_sent(
    terms: Any, error: type[Exception], text: str
) -> None:
    one = mail()
    one.rq_ses = terms
    with pytest.raises(error, match=text):
        converted(one)
