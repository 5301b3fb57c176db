"""What follows from events: whom not to write to again, and what state a mail is in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rq_ses.feedback.event import Event, read_event
from rq_ses.feedback.record import STATE, counter, fields, weight
from rq_ses.feedback.rules import STATES, state_of, suppressions, was_accepted
from rq_ses_worker.simulator.events.event import KINDS, Form, Sent, event

MAIL = Sent(message_id="0100-m", recipients=("b@example.org",))


def bounce(*recipients: dict[str, str] | str, **about: Any) -> Event:
    named = [one if isinstance(one, dict) else {"emailAddress": one} for one in recipients]
    return read_event(event("Bounce", MAIL, about={"bouncedRecipients": named, **about}))


def complaint(*recipients: str, **about: Any) -> Event:
    return read_event(event("Complaint", MAIL, recipients=recipients, about=about))


def addresses(told: Event) -> list[str]:
    return [one.address for one in suppressions(told)]


@pytest.mark.parametrize("kind", ["Permanent", "PERMANENT", "permanent"])
@pytest.mark.parametrize(
    "subtype", ["General", "NoEmail", "Suppressed", "OnAccountSuppressionList", "TenantThing", None]
)
def test_a_permanent_bounce_suppresses_whatever_its_subtype(kind: str, subtype: str | None) -> None:
    told = bounce("b@example.org", bounceType=kind, bounceSubType=subtype)
    assert [(one.address, one.reason) for one in suppressions(told)] == [("b@example.org", "bounce")]


@pytest.mark.parametrize("kind", ["Transient", "TRANSIENT", "Undetermined", "", None])
@pytest.mark.parametrize(
    "subtype",
    ["General", "MailboxFull", "MessageTooLarge", "ContentRejected", "AttachmentRejected", "Undetermined"],
)
def test_no_other_bounce_suppresses_though_its_status_says_failed(kind: str | None, subtype: str) -> None:
    failed = {"emailAddress": "b@example.org", "action": "failed", "status": "5.7.1"}
    assert addresses(bounce(failed, bounceType=kind, bounceSubType=subtype)) == []


def test_inside_a_permanent_bounce_who_is_only_delayed_is_left_out() -> None:
    told = bounce(
        {"emailAddress": "jane@example.com", "action": "failed", "status": "5.1.1"},
        {"emailAddress": "richard@example.com", "action": "delayed", "status": "4.0.0"},
        {"emailAddress": "mary@example.com"},
        {"emailAddress": "ann@example.com", "action": "Failed"},
    )
    assert addresses(told) == ["jane@example.com", "mary@example.com", "ann@example.com"]


@pytest.mark.parametrize("kind", ["Permanent", "Transient", "Undetermined"])
def test_a_bounce_that_names_nobody_suppresses_nobody(kind: str) -> None:
    told = bounce(bounceType=kind)
    assert (addresses(told), told.destination) == ([], ("b@example.org",))
    assert state_of(told) == "delivered"


def test_a_complaint_suppresses_all_whom_it_names_and_says_of_how_many() -> None:
    told = complaint("b@example.org", "c@example.org")
    assert [(one.address, one.reason, one.text) for one in suppressions(told)] == [
        ("b@example.org", "complaint", "one of 2"),
        ("c@example.org", "complaint", "one of 2"),
    ]
    assert [one.text for one in suppressions(complaint("b@example.org"))] == [""]


@pytest.mark.parametrize("kind", ["not-spam", "Not-Spam"])
def test_the_opposite_of_a_complaint_suppresses_nobody(kind: str) -> None:
    told = complaint("b@example.org", complaintFeedbackType=kind)
    assert (addresses(told), state_of(told), counter(told)) == ([], "delivered", "Complaint not-spam")


@pytest.mark.parametrize("kind", ["abuse", "fraud", "virus", "other", None])
def test_any_other_complaint_suppresses(kind: str | None) -> None:
    assert addresses(complaint("b@example.org", complaintFeedbackType=kind)) == ["b@example.org"]
    never_sent = complaint("b@example.org", complaintSubType="OnAccountSuppressionList", userAgent=None)
    assert addresses(never_sent) == ["b@example.org"]


@pytest.mark.parametrize(
    "address", ["bounce@simulator.amazonses.com", "Complaint+label@Simulator.AmazonSES.com"]
)
def test_addresses_of_the_mailbox_simulator_are_never_suppressed(address: str) -> None:
    assert addresses(bounce(address, "b@example.org")) == ["b@example.org"]
    assert addresses(complaint(address)) == []


def test_addresses_are_suppressed_in_their_normal_form() -> None:
    told = bounce("Jane.Doe@EXAMPLE.com", "Jane <jane@bücher.example>", "no address", "@", "a@b@c", "")
    assert addresses(told) == ["jane.doe@example.com", "jane@xn--bcher-kva.example"]


def test_an_address_that_we_never_wrote_to_is_recorded_with_the_one_that_we_did() -> None:
    told = bounce("forwarded@example.net")
    ((_, value, recipient),) = fields(told)
    assert recipient == "forwarded@example.net"
    assert json.loads(value)["to"] == ["b@example.org"]
    assert addresses(told) == ["forwarded@example.net"]
    ((_, value, _),) = fields(bounce("B@example.ORG"))
    assert "to" not in json.loads(value)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("Bounce", "Complaint")])
def test_no_other_kind_suppresses(kind: Any) -> None:
    assert addresses(read_event(event(kind, MAIL))) == []


def test_the_states_are_in_their_order() -> None:
    told = {kind: state_of(read_event(event(kind, MAIL))) for kind in KINDS}
    order = ["Send", "DeliveryDelay", "Delivery", "Bounce", "Reject", "Rendering Failure", "Complaint"]
    assert [told[kind] for kind in order] == list(STATES)  # type: ignore[index]
    assert (told["Open"], told["Click"], told["Subscription"]) == ("delivered", "delivered", "")
    assert state_of(read_event(event("Teleported", MAIL))) == ""


def test_all_but_what_is_unknown_proves_that_ses_had_the_mail() -> None:
    accepted = {kind for kind in KINDS if was_accepted(read_event(event(kind, MAIL)))}
    assert accepted == set(KINDS) - {"Subscription"}
    assert not was_accepted(read_event(event("Teleported", MAIL)))


def test_the_same_event_has_the_same_fields_in_both_forms_and_another_one_has_others() -> None:
    def names(form: Form, **about: Any) -> list[str]:
        told = event(
            "Bounce",
            Sent(message_id="m", recipients=("b@example.org", "c@example.org")),
            form=form,
            about=about,
        )
        return [name for name, _, _ in fields(read_event(told))]

    assert names("eventType", feedbackId="f") == names("notificationType", feedbackId="f")
    assert len(set(names("eventType", feedbackId="f") + names("eventType", feedbackId="g"))) == 4
    spelled = [{"emailAddress": name} for name in ("B@Example.org", "c@example.ORG")]
    assert names("eventType", feedbackId="f") == names("eventType", feedbackId="f", bouncedRecipients=spelled)


def test_an_event_without_a_feedback_id_is_known_by_its_time() -> None:
    first, second = ("2026-01-01T00:00:00.001Z", "2026-01-01T00:00:00.002Z")
    names = {
        name
        for time in (first, first, second)
        for name, _, _ in fields(read_event(event("Delivery", MAIL, about={"timestamp": time})))
    }
    assert len(names) == 2
    assert all(name.startswith("Delivery:17") and name.endswith(":b@example.org") for name in names)


def test_no_field_is_long_or_the_states_own() -> None:
    long = bounce("x" * 300 + "@example.org", feedbackId="f" * 5000)
    other = bounce("x" * 300 + "@example.net", feedbackId="f" * 5000)
    (name,) = [name for name, _, _ in fields(long)]
    assert len(name) < 250
    assert name not in [name for name, _, _ in fields(other)]
    odd = read_event({"eventType": STATE, "mail": {"messageId": "m"}})
    assert [name for name, _, _ in fields(odd)] == ["state:0.000:"]


def test_what_is_about_the_mail_counts_for_all_its_recipients() -> None:
    two = Sent(message_id="m", recipients=("b@example.org", "c@example.org"))
    assert [weight(read_event(event(kind, two))) for kind in ("Send", "Reject", "Open")] == [2, 2, 1]  # type: ignore[arg-type]
    assert counter(bounce("b@example.org")) == "Bounce Permanent"
