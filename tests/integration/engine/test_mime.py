"""Mail that exists as MIME, on its whole way: through the queue and a worker to what stands in for SES."""

from __future__ import annotations

import email
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

from redis import Redis

from rq_ses import Message, Outbox, RawMessage, Submission
from rq_ses.message.reading import AnyMessage
from rq_ses_worker.engine.burst import deliver
from rq_ses_worker.simulator.records.parsed import ParsedMail
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import ODD, raw_mail
from support.programs.processes import KEY_ID, SECRET, TOKEN

SIGNED = (Path(__file__).parents[2] / "data" / "signed.eml").read_bytes()
"""Made by OpenSSL's cms command, and good by it."""

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//shop.example//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n"
    "UID:4711@shop.example\r\nDTSTAMP:20260501T090000Z\r\nDTSTART:20260531T090000Z\r\nDURATION:PT1H\r\n"
    "SUMMARY:Fitting – Grüße\r\nORGANIZER:mailto:orders@shop.example\r\n"
    "ATTENDEE;RSVP=TRUE:mailto:anna@customer.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def written() -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = "Shop <orders@shop.example>", "anna@customer.example"
    mail["Subject"] = "Grüße"
    mail.set_content("Hello")
    return mail


def invitation() -> RawMessage:
    mail = written()
    mail.add_alternative(EVENT, subtype="calendar", params={"method": "REQUEST"})
    message = Message.from_email(mail)
    assert isinstance(message, RawMessage)
    return message


def amp() -> RawMessage:
    mail = written()
    mail.add_alternative("<!doctype html><html ⚡4email data-css-strict></html>", subtype="x-amp-html")
    mail.add_alternative("<p>Hello</p>", subtype="html")
    message = Message.from_email(mail)
    assert isinstance(message, RawMessage)
    return message


def arrived(redis: Redis, ses: SimulatorServer, *mails: AnyMessage | Submission) -> list[ParsedMail]:
    """Send mails, and return what the worker sent of them, in their order."""
    Outbox(redis).send_many(mails)
    deliver(redis, base_url=ses.url, region="us-east-1", access_key_id=KEY_ID, secret_access_key=SECRET,
            session_token=TOKEN)  # fmt: skip
    return sorted((mail.parsed for mail in ses.mails), key=lambda parsed: parsed.tags.get("number", ""))


def test_what_is_sent_as_mime_arrives_byte_for_byte(redis: Redis, ses: SimulatorServer) -> None:
    signed = RawMessage(data=SIGNED, to="anna@customer.example")
    mails = [
        message.model_copy(update={"tags": {"number": str(number)}})
        for number, message in enumerate([raw_mail(), signed, invitation(), amp()])
    ]
    found = arrived(redis, ses, *mails)
    assert [one.mime for one in found] == [mail.data for mail in mails]
    assert [one.to for one in found] == [mail.to for mail in mails]
    assert found[0].mime == ODD
    assert [mail.recipients for mail in ses.mails if mail.parsed.mime == ODD] == [("anna@example.com",)]


def test_an_invitation_and_amp_are_what_mail_programs_look_for(redis: Redis, ses: SimulatorServer) -> None:
    event, dynamic = (
        email.message_from_bytes(one.mime or b"", policy=default)
        for one in arrived(redis, ses, invitation().model_copy(update={"tags": {"number": "1"}}), amp())[::-1]
    )
    text, calendar = event.iter_parts()
    assert event.get_content_type() == "multipart/alternative"
    assert text.get_content().strip() == "Hello"
    assert (calendar.get_content_type(), calendar["Content-Type"].params["method"]) == (
        "text/calendar", "REQUEST"
    )  # fmt: skip
    assert calendar.get_payload(decode=True) == EVENT.encode()
    assert [part.get_content_type() for part in dynamic.iter_parts()] == [
        "text/plain", "text/x-amp-html", "text/html"
    ]  # fmt: skip


def test_all_that_stands_beside_a_mail_arrives_with_it(redis: Redis, ses: SimulatorServer) -> None:
    terms: dict[str, Any] = {
        "from_email_arn": "arn:aws:ses:us-east-1:123456789012:identity/shop.example",
        "feedback_to": "bounces@shop.example",
        "feedback_arn": "arn:aws:ses:us-east-1:123456789012:identity/shop.example",
        "list_management": {"contact_list": "news", "topic": "weekly"},
        "tenant": "shop",
        "configuration_overrides": {"open_tracking": False, "click_tracking": True},
    }
    simple = Message(
        sender="orders@shop.example", to="anna@customer.example", subject="Hi", text="Hello", **terms
    )
    unsubscribing = simple.model_copy(
        update={
            "list_management": None,
            "unsubscribe": "https://shop.example/u",
            "tags": {"number": "3"},
        }
    )
    raw = raw_mail(**terms, tags={"number": "2"})
    first, second, third = arrived(redis, ses, simple, raw, unsubscribing)
    assert first.terms == second.terms == {
        "from_email_arn": terms["from_email_arn"],
        "feedback_to": "bounces@shop.example",
        "feedback_arn": terms["feedback_arn"],
        "contact_list": "news",
        "topic": "weekly",
        "tenant": "shop",
        "open_tracking": "DISABLED",
        "click_tracking": "ENABLED",
    }  # fmt: skip
    assert third.headers == {
        "List-Unsubscribe": "<https://shop.example/u>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
