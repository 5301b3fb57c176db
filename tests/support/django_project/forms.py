"""Every form of mail that Django's documentation has: what the backend must carry unharmed."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage as MimeMail
from email.mime.application import MIMEApplication
from email.mime.image import MIMEImage
from pathlib import Path
from typing import Any, Final

import django
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

TO: Final = ["Anna Ägren <anna@customer.example>"]
PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x01\x02\xff"
INVITATION: Final = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Grüße\r\nEND:VCALENDAR\r\n"

FORMS: Final[dict[str, Callable[[], Any]]] = {}
SIMPLE: Final[set[str]] = set()
"""Those that SES's Simple content can say."""


def form(name: str, *, simple: bool) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        FORMS[name] = make
        if simple:
            SIMPLE.add(name)
        return make

    return add


def text(body: str = "Grüße\n\nFrom the shop.\n", **fields: Any) -> Any:
    return EmailMessage("Your order 4711 – ändert sich", body, None, TO, **fields)


def both(html: Any = "<p>Grüße</p>\n", kind: str = "text/html", **fields: Any) -> Any:
    mail = EmailMultiAlternatives("Your order", "Grüße\n", None, TO, **fields)
    mail.attach_alternative(html, kind)
    return mail


@form("a text", simple=True)
def _() -> Any:
    return text()


@form("a text with long lines, and lines that begin with From and a dot", simple=True)
def _() -> Any:
    return text("From here: " + "В южных морях " * 100 + "\n.\n..\nFrom there\n")


@form("everybody at once: cc, bcc, reply_to and a sender with a name", simple=True)
def _() -> Any:
    return text(
        cc=["Ben <ben@customer.example>"],
        bcc=["audit@shop.example"],
        reply_to=["Hilfe <help@shop.example>", "more@shop.example"],
    )


@form("nobody but bcc", simple=True)
def _() -> Any:
    return EmailMessage("News", "News\n", "news@shop.example", bcc=["anna@customer.example"])


@form("lazy and safe strings", simple=True)
def _() -> Any:
    mail = EmailMultiAlternatives(
        lazystr("Hej"), lazystr("Tack\n"), lazystr("hej@shop.example"), [lazystr("anna@customer.example")]
    )
    mail.attach_alternative(mark_safe("<p>Tack</p>\n"), "text/html")
    mail.extra_headers["X-Lazy"] = lazystr("yes")
    return mail


@form("domains beyond ASCII", simple=True)
def _() -> Any:
    return EmailMessage("S", "T\n", "Böse <a@bücher.example>", ["b@öäü.example"])


@form("HTML by content_subtype", simple=True)
def _() -> Any:
    mail = text("<p>Grüße</p>\n")
    mail.content_subtype = "html"
    return mail


@form("text and HTML", simple=True)
def _() -> Any:
    return both()


@form("HTML whose type has a charset", simple=True)
def _() -> Any:
    return both(kind="text/html; charset=utf-8")


@form("HTML alone", simple=True)
def _() -> Any:
    mail = EmailMultiAlternatives("S", "", None, TO)
    mail.attach_alternative("<p>Grüße</p>\n", "text/html")
    return mail


@form("files: text, bytes, without a type, with another than their name tells, not UTF-8", simple=True)
def _() -> Any:
    mail = both()
    mail.attach("notes.txt", "Notizen: ä\n", "text/plain")
    mail.attach("data.csv", "a;ä\n".encode(), "text/csv")
    mail.attach("report.pdf", b"%PDF-1.7\xff")
    mail.attach("blob.dat", b"\x00\x01", "application/x-shop")
    mail.attach("latin.txt", "ä".encode("latin-1"), "text/plain")
    mail.attach("grüße.bin", bytearray(b"\x00"), "application/octet-stream")
    return mail


@form("files appended as tuples", simple=True)
def _() -> Any:
    mail = text()
    mail.attachments.append(("a.json", '{"a": 1}', "application/json"))
    return mail


@form("a file from the disk", simple=True)
def _() -> Any:
    mail = text()
    mail.attach_file(str(Path(__file__).with_name("urls.py")))
    return mail


@form("an inline picture with its id and a name", simple=True)
def _() -> Any:
    picture = _picture("logo.png")
    picture.add_header("Content-Disposition", "inline", filename="logo.png")
    mail = both('<img src="cid:logo">\n')
    mail.attachments.append(picture)
    return mail


def _picture(name: str = "") -> Any:
    picture = MIMEImage(PNG, "png", **({"name": name} if name else {}))
    picture.add_header("Content-ID", "<logo>")
    return picture


@form("an inline picture without a name", simple=False)
def _() -> Any:
    mail = both('<img src="cid:logo">\n')
    mail.attachments.append(_picture())
    return mail


@form("a part made by hand", simple=True)
def _() -> Any:
    part = MIMEApplication(b"PK\x03\x04", "zip")
    part.add_header("Content-Disposition", "attachment", filename="all.zip")
    mail = text()
    mail.attachments.append(part)
    return mail


@form("headers: any case, numbers, none, what SES writes itself", simple=True)
def _() -> Any:
    return text(
        headers={
            "Reply-To": "Chosen <chosen@shop.example>",
            "X-Number": 7 if django.VERSION < (6, 0) else "7",
            "List-Unsubscribe": "<https://shop.example/unsubscribe/0123456789/0123456789/0123456789/0123456789>",
            "Message-ID": "<4711@shop.example>",
            "Date": "Sun, 29 Nov 2026 10:00:00 +0000",
        },
        reply_to=["loses@shop.example"],
    )


@form("a From of its own beside the envelope's", simple=True)
def _() -> Any:
    return EmailMessage("S", "T\n", "bounce@shop.example", TO, headers={"From": "Laden <laden@shop.example>"})


@form("a To for show", simple=False)
def _() -> Any:
    return text(headers={"To": "Alle <all@shop.example>"}, cc=["c@customer.example"])


@form("a header beyond ASCII", simple=False)
def _() -> Any:
    return text(headers={"X-Team": "Köln"})


@form("more headers than SES's Simple content takes", simple=False)
def _() -> Any:
    return text(headers={f"X-{number}": "v" for number in range(16)})


@form("a header that only MIME may have", simple=False)
def _() -> Any:
    return text(headers={"X-SES-CONFIGURATION-SET": "shop", "Return-Path": "<b@shop.example>"})


@form("no body", simple=False)
def _() -> Any:
    return EmailMessage("S", "", None, TO)


@form("nothing but a file", simple=False)
def _() -> Any:
    return EmailMessage("S", "", None, TO, attachments=[("a.pdf", b"%PDF", "application/pdf")])


@form("a file without a name", simple=False)
def _() -> Any:
    return text(attachments=[(None, b"\x00", "application/x-shop")])


@form("an invitation", simple=False)
def _() -> Any:
    mail = both()
    mail.attach_alternative(INVITATION, "text/calendar; method=REQUEST")
    return mail


@form("AMP", simple=False)
def _() -> Any:
    mail = EmailMultiAlternatives("S", "T\n", None, TO)
    mail.attach_alternative("<html amp4email>ä</html>\n", "text/x-amp-html")
    mail.attach_alternative("<p>ä</p>\n", "text/html")
    return mail


@form("an alternative that is no text", simple=False)
def _() -> Any:
    return both(b"\x00\x01", "application/x-shop")


@form("another charset", simple=False)
def _() -> Any:
    mail = text()
    mail.encoding = "iso-8859-1"
    mail.subject = "Änderung"
    return mail


@form("other mails, attached", simple=False)
def _() -> Any:
    inner = MimeMail()
    inner["Subject"] = "Inner"
    inner["Date"] = "Sun, 29 Nov 2026 10:00:00 +0000"
    inner.set_content("Drinnen: ä\n")
    mail = text(attachments=[("bytes.eml", b"Subject: B\n\nBytes\n", "message/rfc822")])
    mail.attach("mail.eml", inner, "message/rfc822")
    return mail


@form("a subclass that makes the MIME", simple=False)
def _() -> Any:
    class Signed(EmailMessage):  # type: ignore[misc]
        def message(self, **policy: Any) -> Any:
            made = super().message(**policy)
            made["X-Signed"] = "yes"
            return made

    return Signed(
        "S",
        "T\n",
        None,
        TO,
        headers={"Message-ID": "<1@s.example>", "Date": "Sun, 29 Nov 2026 10:00:00 +0000"},
    )


@form("more than 50 recipients", simple=False)
def _() -> Any:
    return text(cc=[f"reader-{number}@customer.example" for number in range(119)])


if django.VERSION < (6, 0):

    @form("a picture beside the HTML, by mixed_subtype", simple=False)
    def _() -> Any:
        mail = both()
        mail.mixed_subtype = "related"
        mail.attachments.append(_picture("logo.png"))
        return mail

else:

    @form("a part of Python's modern API", simple=True)
    def _() -> Any:
        from email.message import MIMEPart

        part = MIMEPart()
        part.set_content(
            PNG, maintype="image", subtype="png", filename="logo.png", disposition="inline", cid="<logo>"
        )
        mail = both()
        mail.attach(part)
        return mail
