"""Message.from_email: a mail as a Message where that says the same, else as the bytes it is."""

from __future__ import annotations

import email
from collections.abc import Callable
from email.header import Header
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP, compat32, default
from typing import Any

import pytest
from pydantic import ValidationError

from rq_ses import Message, RawMessage

PNG = b"\x89PNG\r\n\x1a\n\x00"
LOGO = {"cid": "<logo>", "filename": "logo.png", "disposition": "inline"}


def written(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    for name, value in {
        "From": "Ann Öz <a@example.com>", "To": "Ben <b@example.com>", "Subject": "Grüße", **headers
    }.items():  # fmt: skip
        mail[name.replace("_", "-")] = value
    mail.set_content("Hello Ö\nBye\n")
    return mail


def simple(mail: Any, **given: Any) -> Message:
    message = Message.from_email(mail, **given)
    assert isinstance(message, Message)
    return message


def raw(mail: Any, **given: Any) -> RawMessage:
    message = Message.from_email(mail, **given)
    assert isinstance(message, RawMessage)
    return message


def test_a_mail_of_text_is_a_message_with_its_people_and_headers() -> None:
    mail = written(
        Cc='"Öz, Cem" <c@example.com>, d@example.com', Bcc="e@example.com", Reply_To="r@example.com",
        X_Shop="4711", List_Unsubscribe="<https://example.com/" + "u" * 120 + ">",
        Date="Sat, 3 Jan 2026 01:05:34 +0000", Message_ID="<1@example.com>",
    )  # fmt: skip
    assert simple(mail, tags={"kind": "order"}, configuration_set="prod") == Message(
        sender='"Ann Öz" <a@example.com>', to='"Ben" <b@example.com>',
        cc=['"Öz, Cem" <c@example.com>', "d@example.com"], bcc="e@example.com", reply_to="r@example.com",
        subject="Grüße", text="Hello Ö\nBye\n", tags={"kind": "order"}, configuration_set="prod",
        headers={"X-Shop": "4711", "List-Unsubscribe": "<https://example.com/" + "u" * 120 + ">"},
    )  # fmt: skip
    assert mail["Bcc"] == "e@example.com"


def test_html_files_and_images_are_what_they_are_in_a_message() -> None:
    mail = written()
    mail.add_alternative("<img src='cid:logo'>", subtype="html")
    mail.get_payload()[1].add_related(
        PNG, "image", "png", cid="<logo>", filename="logo.png", disposition="inline"
    )  # type: ignore[union-attr,index]
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Über.pdf")
    mail.add_attachment("a;b\n", subtype="csv", filename="list.csv")
    message = simple(mail)
    assert (message.text, message.html) == ("Hello Ö\nBye\n", "<img src='cid:logo'>\n")
    logo, pdf, csv = message.attachments
    assert (logo.content_id, logo.content, logo.filename) == ("logo", PNG, "logo.png")
    assert (pdf.filename, pdf.content, pdf.content_id) == ("Über.pdf", b"%PDF", None)
    assert (csv.content_type, csv.content.splitlines()) == ('text/csv; charset="utf-8"', [b"a;b"])


def test_a_long_link_in_a_header_stays_one_that_can_be_followed() -> None:
    link = "<https://example.com/" + "u" * 200 + ">"
    mail = written(List_Unsubscribe=f"{link}, <mailto:u@example.com>")
    assert simple(mail).headers["List-Unsubscribe"] == f"{link}, <mailto:u@example.com>"
    _nameless(mail)
    assert f"List-Unsubscribe: {link}, <mailto:u@example.com>\r\n".encode() in raw(mail).data


def test_a_mail_that_is_made_once_more_is_the_same_for_its_key() -> None:
    def made(text: str) -> bytes:
        mail = written()
        _nameless(mail)
        mail.add_attachment(text)
        return raw(mail).to_payload()

    assert made("a") == made("a")
    assert made("a") != made("b")


def test_mails_of_the_older_kind_are_read_as_well() -> None:
    mail = MIMEMultipart()
    mail["From"], mail["Subject"] = "a@example.com", Header("Grüße", "utf-8").encode()
    mail["To"] = Header("Öz, Cem", "utf-8").encode() + " <c@example.com>"
    mail.attach(MIMEText("Grüße\n", "plain", "iso-8859-1"))
    part = MIMEApplication(b"%PDF", "pdf")
    part.add_header("Content-Disposition", "attachment", filename="a.pdf")
    mail.attach(part)
    message = simple(mail)
    assert (message.to, message.subject, message.text) == (
        ('"Öz, Cem" <c@example.com>',), "Grüße", "Grüße\n"
    )  # fmt: skip
    assert message.attachments[0].content == b"%PDF"


def test_a_sender_of_the_envelope_counts_and_so_do_recipients_that_are_the_same() -> None:
    mail = written(Cc="c@example.com")
    assert simple(mail, sender="s@example.com").sender == "s@example.com"
    assert simple(written(), recipients="b@example.com").to == ('"Ben" <b@example.com>',)
    assert simple(mail, recipients=["c@example.com", "b@example.com"]).cc == ("c@example.com",)
    message = raw(mail, recipients=["z@example.com"], sender="s@example.com", tags={"a": "b"})
    assert (message.to, message.sender, dict(message.tags)) == (
        ("z@example.com",),
        "s@example.com",
        {"a": "b"},
    )
    assert message.data == mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


def _calendar(mail: EmailMessage) -> None:
    mail.add_alternative("BEGIN:VCALENDAR", subtype="calendar", params={"method": "REQUEST"})


def _amp(mail: EmailMessage) -> None:
    mail.add_alternative("<html amp4email>", subtype="x-amp-html")
    mail.add_alternative("<p>", subtype="html")


def _html_first(mail: EmailMessage) -> None:
    mail.set_content("<p>", subtype="html")
    mail.add_alternative("Hello")


def _attached_mail(mail: EmailMessage) -> None:
    mail.add_attachment(written(), filename="mail.eml")


def _nameless(mail: EmailMessage) -> None:
    mail.add_attachment(b"x", maintype="application", subtype="pdf")


def _language(mail: EmailMessage) -> None:
    mail["Content-Language"] = "de"


def _flowed(mail: EmailMessage) -> None:
    mail.set_content("Hello", params={"format": "flowed"})


def _twice(mail: EmailMessage) -> None:
    mail["X-Shop"] = "1"
    mail["X-Shop"] = "2"


def _sixteen(mail: EmailMessage) -> None:
    for number in range(16):
        mail[f"X-{number}"] = "x"


def _command(mail: EmailMessage) -> None:
    mail["X-SES-CONFIGURATION-SET"] = "prod"


def _received(mail: EmailMessage) -> None:
    mail["Received"] = "from x by y"


def _no_subject(mail: EmailMessage) -> None:
    del mail["Subject"]


def _group(mail: EmailMessage) -> None:
    mail.replace_header("To", "Team: b@example.com;")


def _inline_file(mail: EmailMessage) -> None:
    mail.add_attachment(b"x", maintype="image", subtype="png", filename="a.png", disposition="inline")


def _cid_of_a_file(mail: EmailMessage) -> None:
    mail.add_attachment(b"x", maintype="image", subtype="png", filename="a.png", cid="<a>")


def _html_twice(mail: EmailMessage) -> None:
    mail.add_alternative("<p>", subtype="html")
    mail.add_alternative("<b>", subtype="html")


def _long_word(mail: EmailMessage) -> None:
    mail["X-Token"] = "x" * 2000
    mail["Sender"] = "s@example.com"


def _quotes(mail: EmailMessage) -> None:
    mail.add_attachment(b"x", maintype="image", subtype="png", filename="a.png", params={"x": 'a"b'})


def _sender(mail: EmailMessage) -> None:
    mail["Sender"] = "s@example.com"


def _unknown_charset(mail: EmailMessage) -> None:
    mail.set_param("charset", "klingon")


@pytest.mark.parametrize(
    "changed",
    [
        _calendar, _amp, _html_first, _attached_mail, _nameless, _language, _flowed, _twice, _sixteen,
        _command, _received, _no_subject, _group, _inline_file, _cid_of_a_file,
        _html_twice, _long_word, _quotes, _sender, _unknown_charset,
    ],
)  # fmt: skip
def test_what_a_message_cant_say_stays_the_bytes_it_is(changed: Callable[[EmailMessage], None]) -> None:
    mail = written(Bcc="e@example.com")
    changed(mail)
    message = raw(mail, tags={"kind": "order"})
    assert message.to == ("b@example.com", "e@example.com")
    assert message.sender is None
    assert b"e@example.com" not in message.data
    del mail["Bcc"]
    assert message.data == mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))


def test_the_signed_part_of_a_mail_is_not_written_anew() -> None:
    signed = b"Content-Type: text/plain\r\nX-Long: " + b"word " * 30 + b"\r\n\r\nHello =\r\n  \r\n"
    data = (
        b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Hi\r\nMIME-Version: 1.0\r\nContent-Type: "
        b'multipart/signed; boundary="b"; protocol="application/pkcs7-signature"; micalg=sha-256\r\n\r\n'
        b"--b\r\n" + signed + b"\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nMIIB\r\n--b--\r\n"
    )
    for policy in (default, SMTP, None):
        mail = email.message_from_bytes(data, policy=policy) if policy else email.message_from_bytes(data)
        assert b"--b\r\n" + signed + b"\r\n--b\r\n" in raw(mail).data


@pytest.mark.parametrize("kind", [EmailMessage, None])
def test_addresses_beyond_ascii_are_written_so_that_they_can_be_read(kind: type[EmailMessage] | None) -> None:
    mail: Any = kind() if kind else MIMEText("Hello")
    mail["From"], mail["Subject"] = "Öz, Ann <a@müller.example>".replace("Öz, Ann", '"Öz, Ann"'), "Hi"
    mail["To"] = "Jörg Öz <j@bücher.example>, b@example.com"
    if kind:
        mail.set_content("Hello")
    message = simple(mail)
    assert message.sender == '"Öz, Ann" <a@xn--mller-kva.example>'
    assert message.to == ('"Jörg Öz" <j@xn--bcher-kva.example>', "b@example.com")
    found = raw(mail, recipients=["z@example.com"])
    header = email.message_from_bytes(found.data, policy=default)
    assert [one.addr_spec for one in header["To"].addresses] == ["j@xn--bcher-kva.example", "b@example.com"]
    assert header["From"].addresses[0].display_name == "Öz, Ann"


def test_bytes_in_a_header_stay_what_they_are() -> None:
    data = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: caf\xe9\r\n\r\nHello\r\n"
    assert raw(email.message_from_bytes(data)).data == data
    assert raw(email.message_from_bytes(data, policy=default)).data == data


@pytest.mark.parametrize("name", ["Subject", "X-Topic", "Content-Description"])
def test_no_header_is_begun_by_what_another_one_says(name: str) -> None:
    words = "=?utf-8?q?Hello=0D=0AX-SES-CONFIGURATION-SET:_theirs?="
    mail = written()
    del mail[name]
    mail[name] = words
    with pytest.raises(ValueError, match=f"email: its header {name} holds a line break"):
        Message.from_email(mail)
    attached = written()
    attached.add_attachment(b"x", maintype="application", subtype="x", filename="x")
    part = next(attached.iter_attachments())
    part[name] = words
    with pytest.raises(ValueError, match=f"email: its header {name} holds a line break"):
        Message.from_email(attached)
    older = MIMEText("x")
    older[name] = "Hello\nX-SES-CONFIGURATION-SET: theirs"
    with pytest.raises(ValueError, match=f"email: its header {name} holds a line break"):
        Message.from_email(older)


def test_what_is_no_mail_is_told() -> None:
    with pytest.raises(TypeError, match=r"email: a str is no email\.message\.Message"):
        Message.from_email("From: a@example.com")  # type: ignore[arg-type]


def test_a_mail_that_is_sent_again_goes_to_whom_it_is_resent() -> None:
    mail = written(
        Resent_Date="Sat, 3 Jan 2026 01:05:34 +0000", Resent_To="n@example.com", Resent_Bcc="h@example.com"
    )
    message = raw(mail)
    assert message.to == ("n@example.com", "h@example.com")
    assert b"h@example.com" not in message.data


def test_what_can_be_sent_neither_way_is_told() -> None:
    mail = written()
    del mail["To"]
    with pytest.raises(ValidationError, match="no recipient"):
        Message.from_email(mail)
    with pytest.raises(ValidationError, match="tag"):
        Message.from_email(written(), tags={"ä": "b"})
    broken = MIMEText("x")
    broken["From"], broken["To"] = "a@example.com", "b@example.com"
    broken.set_payload(7)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="email: it can't be written as MIME"):
        Message.from_email(broken)


@pytest.mark.parametrize("policy", [compat32, default])
@pytest.mark.parametrize("behind", [" ", " (as of old)"])
def test_content_whose_encoding_has_a_comment_or_a_blank_behind_it_goes_as_it_is(
    policy: Any, behind: str
) -> None:
    text = email.message_from_bytes(_encoded(behind), policy=policy)
    assert raw(text).data.endswith(b"\r\n\r\nS8O2bG4=\r\n")
    assert simple(email.message_from_bytes(_encoded(""), policy=policy)).text == "Köln"
    mail = written()
    mail.add_attachment(PNG, maintype="image", subtype="png", filename="logo.png")
    [part] = mail.iter_attachments()
    part.replace_header("Content-Transfer-Encoding", f"base64{behind}")
    assert b"iVBORw0KGgoA" in raw(mail).data


def _encoded(behind: str) -> bytes:
    return (
        "From: a@example.com\r\nTo: b@example.com\r\nSubject: S\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8 (Plain text)\r\n"
        f"Content-Transfer-Encoding: base64{behind}\r\n\r\nS8O2bG4=\r\n"
    ).encode()
